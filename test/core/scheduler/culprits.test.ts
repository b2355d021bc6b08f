/** Some callers bring values that fail their run, or cost the worker. The tests show the cost for others, and its end. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Asked, createPoisonedLoad, type Kind } from '../../support/poisoned-load.ts'

describe('a run that failed', () => {
  test.each([0, 5, 15])('is halved until the culprit is alone, at place %i of 16', async (place) => {
    const load = createPoisonedLoad({ cap: 16 })
    for (let i = 0; i < 16; i++) load.send({ kind: i === place ? 'bad' : 'good' })
    await load.clock.letPass(1000)
    expect(load.runs.map((run) => run.length).sort((a, b) => b - a)).toEqual([16, 8, 8, 4, 4, 2, 2, 1, 1])
    expect([...load.answers].filter(([, code]) => code !== 'ok')).toEqual([[place, 'INPUT_REJECTED']])
    expect(load.answers.size).toBe(16)
  })

  test('is looked at before those who came later run, and none of them joins', async () => {
    const load = createPoisonedLoad({ cap: 8 })
    for (let i = 0; i < 16; i++) load.send({ kind: i === 3 ? 'bad' : 'good' })
    await load.clock.letPass(1000)
    for (const run of load.runs) expect(new Set(run.map((number) => number < 8))).toHaveLength(1)
    expect(load.answers.get(3)).toBe('INPUT_REJECTED')
    expect([...load.answers.values()].filter((code) => code === 'ok')).toHaveLength(15)
  })

  test('is not held up by maxDelayMs', async () => {
    const load = createPoisonedLoad({ cap: 8, maxDelayMs: 500 })
    // A full run does not wait, and its halves need not either.
    for (let i = 0; i < 8; i++) load.send({ kind: i === 0 ? 'bad' : 'good' })
    await load.clock.letPass(7 * 3 + 5)
    expect(load.answers.size).toBe(8)
  })

  test('kind: whatever is bad in it, only that is refused, in no more runs than two for each halving', async () => {
    const asked = fc.record({
      kind: fc.constantFrom<Kind>('good', 'good', 'good', 'bad'),
      tenant: fc.constantFrom('', 'a', 'b'),
      priority: fc.constantFrom('high' as const, 'normal' as const, 'low' as const),
    })
    const load = fc.record({ requests: fc.array(asked, { minLength: 1, maxLength: 64 }), mixTenants: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(load, async ({ requests, mixTenants }) => {
        const { send, clock, answers, runs, scheduler } = createPoisonedLoad({ cap: 64, mixTenants })
        for (const request of requests) send(request)
        await clock.letPass(10_000)
        for (const [number, { kind }] of requests.entries())
          expect(answers.get(number)).toBe(kind === 'bad' ? 'INPUT_REJECTED' : 'ok')
        const bad = requests.filter(({ kind }) => kind === 'bad').length
        // The first runs of each tenant and priority; each culprit then halves its way down from 64.
        if (!mixTenants) expect(runs.length).toBeLessThanOrEqual(9 + 2 * 6 * bad)
        expect(scheduler.stats).toMatchObject({ waiting: 0, running: 0 })
      }),
      { numRuns: 60 },
    )
  })
})

describe('a caller with bad values', () => {
  const BAD = Symbol('bad')

  /** Good answers in three seconds with 32 callers, and one that does nothing but send bad values where there is one. */
  async function goodAnswers(bad: Asked | undefined, opts: Parameters<typeof createPoisonedLoad>[0] = {}) {
    const load = createPoisonedLoad({ cap: 32, ...opts })
    let good = 0
    let refused = 0
    for (let i = 0; i < 32; i++)
      load.loop({ tenant: '', connection: Symbol('good') }, 3000, (code) => {
        if (code === 'ok') good++
      })
    if (bad)
      load.loop(bad, 3000, (code) => {
        if (code === 'INPUT_REJECTED') refused++
      })
    await load.clock.letPass(4000)
    return { good, refused, runs: load.runs.length }
  }

  // The dearest case: a run costs nearly the same however many rows it has.
  const law = (rows: number): number => 2 + 0.01 * rows

  test.each([{ connection: BAD }, { tenant: 'bad' }, { tenant: 'bad', connection: BAD, priority: 'high' as const }])(
    'leaves the others more than four fifths of their answers, and is answered: %o',
    async (bad) => {
      const without = await goodAnswers(undefined, { law })
      const beside = await goodAnswers({ kind: 'bad', ...bad }, { law })
      expect(beside.good / without.good).toBeGreaterThan(0.8)
      expect(beside.refused).toBeGreaterThan(100)
    },
  )

  test('runs apart for five seconds, then with the others again', async () => {
    const { send, clock, runs } = createPoisonedLoad()
    send({ kind: 'bad', connection: BAD })
    await clock.letPass(10)
    const together = async (): Promise<boolean> => {
      const numbers = [send({ connection: BAD }), send({ connection: Symbol('good') }), send({ connection: BAD })]
      await clock.letPass(20)
      // Those of the same caller share a run in any case.
      expect(runs.some((run) => run.includes(numbers[0]!) && run.includes(numbers[2]!))).toBe(true)
      return runs.some((run) => run.includes(numbers[0]!) && run.includes(numbers[1]!))
    }
    expect(await together()).toBe(false)
    await clock.letPass(4900)
    expect(await together()).toBe(false)
    await clock.letPass(100)
    expect(await together()).toBe(true)
  })

  test('is found by its tenant on whatever connection, and has no bad name for others on the same one', async () => {
    const { send, clock, runs } = createPoisonedLoad({ mixTenants: true })
    send({ kind: 'bad', tenant: 'a', connection: BAD })
    await clock.letPass(10)
    const [a, b, none] = [
      send({ tenant: 'a', connection: Symbol('other') }),
      send({ tenant: 'b', connection: BAD }),
      send({ connection: BAD }),
    ]
    await clock.letPass(20)
    expect(runs.find((run) => run.includes(a))).toEqual([a])
    expect(runs.find((run) => run.includes(b))).toContain(none)
  })

  test('that cannot be told from others is not kept apart', async () => {
    const { send, clock, runs } = createPoisonedLoad()
    send({ kind: 'bad' })
    await clock.letPass(10)
    const numbers = [send(), send()]
    await clock.letPass(10)
    expect(runs.at(-1)).toEqual(numbers)
  })

  test('gets one run of eight while others wait, and all of them when it is by itself', async () => {
    const { send, clock, runs, answers } = createPoisonedLoad({ cap: 1, law: () => 1 })
    send({ kind: 'bad', connection: BAD })
    await clock.letPass(2)
    const bad: number[] = []
    for (let i = 0; i < 80; i++) {
      send({ connection: Symbol('good') })
      if (i < 20) bad.push(send({ connection: BAD, priority: 'high' }))
    }
    await clock.letPass(81)
    const first = runs.slice(1, 81).flat()
    expect(first.filter((number) => bad.includes(number)).length).toBeGreaterThanOrEqual(9)
    expect(first.filter((number) => bad.includes(number)).length).toBeLessThanOrEqual(11)
    await clock.letPass(50)
    expect([...answers.values()].filter((code) => code === 'ok')).toHaveLength(100)
  })

  test('is not posted behind runs of others, whose callers ask again once they are answered', async () => {
    const { send, clock, runs, loop } = createPoisonedLoad({ cap: 8, law: () => 0.2 })
    send({ kind: 'bad', connection: BAD })
    await clock.letPass(2)
    let good = 0
    for (let i = 0; i < 8; i++) loop({ connection: Symbol('good') }, 200, () => good++)
    loop({ kind: 'bad', connection: BAD }, 200)
    await clock.letPass(250)
    const apart = runs.filter((run) => run.length === 1).length
    expect(apart / runs.length).toBeLessThanOrEqual(1 / 7)
    expect(apart).toBeGreaterThan(80)
    expect(good).toBeGreaterThan(8 * 800)
  })

  test('makes room first when the queue is full, and takes no room from others', async () => {
    const { send, clock, answers } = createPoisonedLoad({ maxQueue: 2, cap: 1, law: () => 10 })
    send({ kind: 'bad', connection: BAD })
    await clock.letPass(20)
    send({ connection: BAD })
    await clock.letPass(1)
    const [first, second] = [send({ connection: BAD, priority: 'high' }), send({ connection: BAD, priority: 'high' })]
    const low = send({ priority: 'low', connection: Symbol('good') })
    const third = send({ connection: BAD, priority: 'high' })
    await clock.letPass(100)
    expect([first, second, low, third].map((number) => answers.get(number))).toEqual(['ok', 'QUEUE_FULL', 'ok', 'QUEUE_FULL'])
  })
})

describe('a run that cost its worker', () => {
  test.each([0, 7, 15])('runs again one by one, and costs one worker more: the culprit at place %i', async (place) => {
    const load = createPoisonedLoad({ killable: true, cap: 16 })
    for (let i = 0; i < 16; i++) load.send({ kind: i === place ? 'deadly' : 'good' })
    await load.clock.letPass(1000)
    expect(load.lost).toBe(2)
    expect(load.runs[0]).toHaveLength(16)
    // Runs posted behind the culprit had not started, and run once more.
    for (const run of load.runs.slice(1)) expect(run).toHaveLength(1)
    expect(load.messages.slice(1).every((runs) => runs === 1)).toBe(true)
    for (let i = 0; i < 16; i++) expect(load.answers.get(i)).toBe(i === place ? 'WORKER_LOST' : 'ok')
  })

  test('makes its culprit run in messages of its own afterwards, so that it costs nobody else the batch', async () => {
    const load = createPoisonedLoad({ killable: true, cap: 4, law: () => 0.1 })
    const connection = Symbol('deadly')
    const first = load.send({ kind: 'deadly', connection })
    await load.clock.letPass(20)
    for (let i = 0; i < 2; i++) load.send({ connection: Symbol('good') })
    const second = load.send({ kind: 'deadly', connection })
    for (let i = 0; i < 58; i++) load.send({ connection: Symbol('good') })
    await load.clock.letPass(100)
    expect(load.lost).toBe(2)
    // Those that were lost with it would have run one by one.
    expect(load.runs.filter((run) => run.length === 1)).toEqual([[first], [second]])
    expect([...load.answers.values()].filter((code) => code === 'ok')).toHaveLength(60)
  })

  test('is taken for hung when it takes four times as long as expected, and its caller does not wait any more', async () => {
    let ms = 10
    const load = createPoisonedLoad({ killable: true, cap: 1, law: () => ms })
    for (let i = 0; i < 30; i++) load.send()
    await load.clock.letPass(400)
    ms = 30
    load.send({ timeoutMs: 20 })
    await load.clock.letPass(100)
    expect(load.lost).toBe(0)
    ms = 10_000
    load.send({ timeoutMs: 20 })
    await load.clock.letPass(30)
    expect(load.lost).toBe(0)
    await load.clock.letPass(50)
    expect(load.lost).toBe(1)
  })

  test('in threads gives nobody another chance: their inputs went with it', async () => {
    const load = createPoisonedLoad({ killable: false, cap: 4 })
    for (let i = 0; i < 4; i++) load.send({ kind: i === 1 ? 'deadly' : 'good' })
    await load.clock.letPass(100)
    expect([...load.answers.values()]).toEqual(['WORKER_LOST', 'WORKER_LOST', 'WORKER_LOST', 'WORKER_LOST'])
  })

  /** A worker has one message with a deadly request, and a second one with a single good one behind it. */
  async function twoMessages(killable: boolean) {
    const load = createPoisonedLoad({ killable, cap: 4 })
    for (let i = 0; i < 20; i++) load.send()
    await load.clock.letPass(100)
    const [guilty, behind] = [Symbol('guilty'), Symbol('behind')]
    load.send({ kind: 'deadly', connection: guilty })
    await load.clock.letPass(1)
    const number = load.send({ connection: behind })
    await load.clock.letPass(0.5)
    expect(load.messages.slice(-2)).toEqual([1, 1])
    expect(load.runs.slice(-2)).toEqual([[number - 1], [number]])
    await load.clock.letPass(100)
    expect(load.lost).toBe(1)
    return { load, behind, told: [load.answers.get(number - 1), load.answers.get(number)] }
  }

  test('costs a single one behind it nothing but time', async () => {
    expect((await twoMessages(true)).told).toEqual(['WORKER_LOST', 'ok'])
  })

  test('in threads takes a single one behind it along, whose caller is no suspect for that', async () => {
    const { load, behind, told } = await twoMessages(false)
    expect(told).toEqual(['WORKER_LOST', 'WORKER_LOST'])
    for (let i = 0; i < 4; i++) load.send({ connection: i === 2 ? behind : Symbol('good') })
    await load.clock.letPass(100)
    expect(load.runs.at(-1)).toHaveLength(4)
  })

  test('in threads makes none of those that shared its run a suspect', async () => {
    const load = createPoisonedLoad({ killable: false, cap: 4 })
    const connections = Array.from({ length: 4 }, (_, i) => Symbol(i))
    for (const [i, connection] of connections.entries()) load.send({ connection, kind: i === 1 ? 'deadly' : 'good' })
    await load.clock.letPass(100)
    // A suspect's would run apart from a stranger's.
    for (const connection of [...connections.slice(2), Symbol('a'), Symbol('b')]) load.send({ connection })
    await load.clock.letPass(100)
    expect(load.runs).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
    ])
  })
})

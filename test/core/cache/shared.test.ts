/** The second level: whatever the store does, requests see a hit or a miss. */

import { describe, expect, test } from 'vitest'
import type { CacheStore } from '../../../src/core/cache/types.ts'
import { ModelmountError } from '../../../src/core/errors.ts'
import {
  answerOf,
  buffersOf,
  call,
  dataOf,
  floats,
  handClock,
  handModel,
  mapStore,
  SECRET,
  type Setup,
  settled,
  setUp,
} from './support.ts'

const ask = ({ cache }: Setup, x: number, opts: Parameters<typeof call>[0] = {}) =>
  cache.getOrRun({ x: floats(x) }, call(opts), async () => answerOf(x + 1))

/** Two processes with one store. */
function two(options: { readonly ttlMs?: number; readonly maxBytes?: number } = {}) {
  const shared = mapStore()
  const clock = handClock()
  const process = (content?: string, store = shared.store): Setup => setUp({ ...options, store }, { clock, content })
  return { ...shared, clock, process }
}

describe('a shared store', () => {
  test('serves what another process has computed', async () => {
    const { process, clock, values, ttls } = two({ ttlMs: 5000 })
    const [one, other] = [process(), process()]
    await ask(one, 1)
    await settled()
    expect([...values.keys()]).toEqual([expect.stringMatching(/^modelmount\/m\/1\/[\w-]{43}$/)])
    expect(ttls).toEqual([5000])
    clock.advance(300)
    const answer = await ask(other, 1)
    expect(dataOf(answer)).toEqual([2])
    expect(answer).toMatchObject({ ageMs: 300, batchSize: 0 })
    // From then on from its own memory, and not longer than its age allows.
    values.clear()
    clock.advance(4700)
    expect(await ask(other, 1)).toMatchObject({ ageMs: 5000 })
    clock.advance(1)
    expect((await ask(other, 1)).ageMs).toBeUndefined()
    expect(other.cache.info()).toMatchObject({ hits: 2, misses: 1 })
  })

  test.each<readonly [string, CacheStore['get']]>([
    ['a miss', async () => undefined],
    ['a rejection', () => Promise.reject(new Error('down'))],
    [
      'a throw',
      () => {
        throw new Error('down')
      },
    ],
    ['nothing in time', () => new Promise(() => {})],
  ])('leaves no timer behind after %s', async (_, get) => {
    const { process, clock, store } = two()
    const answered = ask(process(undefined, { ...store, get }), 1, { timeoutMs: 10_000 })
    await settled()
    clock.advance(50)
    expect(dataOf(await answered)).toEqual([2])
    await settled()
    expect(clock.pending()).toBe(0)
  })

  test('is asked once by requests at the same time', async () => {
    const { process, store } = two()
    let gets = 0
    const counted: CacheStore = { ...store, get: countedGet }
    async function countedGet(key: string) {
      gets++
      return store.get(key)
    }
    await ask(process(), 1)
    await settled()
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(process(undefined, counted), 1)))
    expect(gets).toBe(20)
    gets = 0
    const other = process(undefined, counted)
    answers.push(...(await Promise.all(Array.from({ length: 20 }, () => ask(other, 1)))))
    expect(gets).toBe(1)
    expect(buffersOf(answers)).toBe(40)
  })

  test('does not serve the result of another model file, tenant, or secret, nor one that is too old', async () => {
    const { process, values, clock } = two({ ttlMs: 1000 })
    await ask(process(), 1)
    await settled()
    expect((await ask(process('other bytes'), 1)).ageMs).toBeUndefined()
    expect((await ask(process(), 1, { tenant: 'a' })).ageMs).toBeUndefined()
    const foreign: CacheStore = { ...mapStore(SECRET.map((byte) => byte + 1)).store, get: async (key) => values.get(key) }
    expect((await ask(process(undefined, foreign), 1)).ageMs).toBeUndefined()
    // A store that forgets nothing.
    clock.advance(1001)
    expect((await ask(process(), 1)).ageMs).toBeUndefined()
  })

  test('does not serve what was computed before a purge', async () => {
    const { process, clock } = two()
    const one = process()
    await ask(one, 1)
    await settled()
    clock.advance(10)
    one.cache.purge()
    expect((await ask(one, 1)).ageMs).toBeUndefined()
    clock.advance(10)
    expect((await ask(process(), 1)).ageMs).toBe(10)
  })

  test('with a value that was moved or changed is a miss', async () => {
    const { process, values } = two()
    await ask(process(), 1)
    await ask(process(), 2)
    await settled()
    const [[first, a] = ['', new Uint8Array()], [second, b] = ['', new Uint8Array()]] = [...values]
    values.set(first, b)
    values.set(second, a.subarray(0, -1))
    for (const x of [1, 2]) {
      const answer = await ask(process(), x)
      expect(dataOf(answer)).toEqual([x + 1])
      expect(answer.ageMs).toBeUndefined()
    }
  })

  test.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new TypeError('redis://user:password@host')
      },
    ],
    ['rejects', () => Promise.reject(Object.assign(new Error('redis://user:password@host'), { code: 'ECONNREFUSED' }))],
    ['rejects with nothing', () => Promise.reject(undefined)],
  ])('that %s is a miss, told once and without the message', async (_, fault) => {
    const failing = { secret: SECRET, get: fault, set: fault } as unknown as CacheStore
    const setup = setUp({ store: failing })
    for (let x = 0; x < 10; x++) expect(dataOf(await ask(setup, x))).toEqual([x + 1])
    await settled()
    expect(setup.warnings).toHaveLength(1)
    expect(setup.warnings[0]).toMatch(/^the cache store of modelmount\/m\/1\/ failed \(get: [\w ]+\); requests go on without it$/)
    expect(setup.warnings[0]).not.toMatch(/password/)
    expect(setup.cache.info()).toMatchObject({ entries: 10, misses: 10 })
  })

  test.each<[string, unknown]>([
    ['null', null],
    ['a string', 'value'],
    ['an object', {}],
    ['an empty value', new Uint8Array()],
    ['noise', new Uint8Array(500).fill(1)],
  ])('that answers %s is a miss', async (_, value) => {
    const setup = setUp({ store: { secret: SECRET, get: async () => value as Uint8Array, set: async () => {} } })
    expect(dataOf(await ask(setup, 1))).toEqual([2])
    expect(setup.warnings).toEqual([])
  })

  test('that does not answer costs a bounded wait, and after three times none', async () => {
    let gets = 0
    const never = new Promise<undefined>(() => {})
    const get = () => {
      gets++
      return never
    }
    const setup = setUp({ store: { secret: SECRET, get, set: () => never, timeoutMs: 20 } })
    for (let x = 0; x < 3; x++) {
      const answer = ask(setup, x)
      setup.clock.advance(20)
      expect(dataOf(await answer)).toEqual([x + 1])
      setup.clock.advance(20)
    }
    expect(gets).toBeLessThanOrEqual(3)
    gets = 0
    for (let x = 10; x < 20; x++) await ask(setup, x)
    expect(gets).toBe(0)
    setup.clock.advance(1000)
    const again = ask(setup, 30)
    setup.clock.advance(20)
    await again
    expect(gets).toBe(1)
    expect(setup.warnings).toHaveLength(1)
  })

  test('is not blamed for callers in a hurry, whose time it does not outlast', async () => {
    const never = new Promise<undefined>(() => {})
    const setup = setUp({ store: { secret: SECRET, get: () => never, set: () => never } })
    const model = handModel(setup.clock)
    for (let x = 0; x < 5; x++) {
      const answer = setup.cache.getOrRun({ x: floats(x) }, call({ timeoutMs: 10 }), model.run)
      setup.clock.advance(10)
      await settled()
      setup.clock.advance(1)
      await expect(answer).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
    }
    expect(setup.warnings).toEqual([])
  })

  test('whose caller goes away while it is asked starts no run', async () => {
    let answerGet = (_: undefined): void => {}
    const get = () =>
      new Promise<undefined>((resolve) => {
        answerGet = resolve
      })
    const setup = setUp({ store: { secret: SECRET, get, set: async () => {} } })
    const model = handModel(setup.clock)
    const giveUp = new AbortController()
    const answer = setup.cache.getOrRun({ x: floats(1) }, call({ signal: giveUp.signal }), model.run)
    giveUp.abort()
    await expect(answer).rejects.toMatchObject({ code: 'ABORTED' })
    answerGet(undefined)
    await settled()
    expect(model.runs).toHaveLength(0)
  })

  test('that is being asked when the cache closes: the runs are started before close() is done', async () => {
    const never = new Promise<undefined>(() => {})
    const setup = setUp({ store: { secret: SECRET, get: () => never, set: () => never } })
    const model = handModel(setup.clock)
    const answers = [1, 2, 3].map((x) => setup.cache.getOrRun({ x: floats(x) }, call(), model.run))
    expect(model.runs).toHaveLength(0)
    await setup.cache.close()
    expect(model.runs).toHaveLength(3)
    for (const run of model.runs) run.answer(5)
    for (const answer of answers) expect(dataOf(await answer)).toEqual([5])
    expect(setup.cache.info().entries).toBe(0)
  })

  test('that fails now and then is not left alone', async () => {
    let gets = 0
    const get = async () => {
      gets++
      if (gets % 3 !== 0) return Promise.reject(new Error('no'))
    }
    const setup = setUp({ store: { secret: SECRET, get, set: async () => {} } })
    // No results are put there, so that only the look-ups count.
    for (let x = 0; x < 12; x++)
      await setup.cache
        .getOrRun({ x: floats(x) }, call(), () => Promise.reject(new ModelmountError('INFERENCE_FAILED', 'no')))
        .catch(() => {})
    expect(gets).toBe(12)
  })

  test('is given no value and asked to hash none that is larger than the room for all', async () => {
    const { process, values, store, clock } = two({ maxBytes: 4096 })
    const large = async () => answerOf(...new Array<number>(2000).fill(1))
    await process().cache.getOrRun({}, call(), large)
    await settled()
    expect(values.size).toBe(0)
    await setUp({ store }, { clock }).cache.getOrRun({}, call(), large)
    await settled()
    expect(values.size).toBe(1)
    expect((await process().cache.getOrRun({}, call(), large)).ageMs).toBeUndefined()
  })
})

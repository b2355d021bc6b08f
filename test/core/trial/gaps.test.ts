/** Runs of a proof on an instance that serves: a request waits for one of them at most, and the proof ends all the same. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Instance } from '../../../src/core/engine/instance.ts'
import type { Run } from '../../../src/core/engine/run.ts'
import { createGaps } from '../../../src/core/trial/gaps.ts'
import { createSimulatedClock } from '../../support/simulated-clock.ts'

const PROOF: Run = { inputs: {}, fetches: ['proof'] }
const ofProof = ({ fetches }: Run): boolean => fetches[0] === 'proof'

interface Request {
  readonly at: number
  readonly runMs: number
}

/** A worker that does one thing after the other, and a queue in front of it. @param ahead whether requests are posted behind other work */
function workplace(proofMs: number, { ahead = false } = {}) {
  const clock = createSimulatedClock()
  const line: { run: Run; ms: number; done: () => void }[] = []
  const waiting: { since: number; ms: number; start: () => void }[] = []
  /** Runs that the worker has begun, in order. */
  const begun: Run[] = []
  let bursts = 0
  let isBusy = false

  function work(): void {
    const [job] = line
    if (!job || isBusy) return
    isBusy = true
    begun.push(job.run)
    clock.after(job.ms, () => {
      line.shift()
      bursts--
      isBusy = false
      job.done()
      work()
    })
  }
  function post(run: Run, ms: number, done: () => void): void {
    bursts++
    line.push({ run, ms, done })
    work()
  }
  const instance = {
    ready: true,
    get bursts() {
      return bursts
    },
    run: ([run]: [Run], done: (outcomes: unknown) => void) => post(run, proofMs, () => done([{ outputs: {}, inferMs: proofMs }])),
  } as unknown as Instance

  function flush(): void {
    while (waiting.length > 0 && (bursts === 0 || (ahead && bursts < 2))) waiting.shift()?.start()
  }

  const gaps = createGaps({
    pool: { instances: [instance], balancer: { posted() {}, answered() {} } } as never,
    scheduler: {
      get stats() {
        return { waiting: waiting.length, running: 0 } as never
      },
      get oldestWaitMs() {
        return waiting[0] ? clock.now() - waiting[0].since : 0
      },
      wake: flush,
    },
    clock,
  })

  /** How many runs of the proof each request has waited for. */
  const delays: number[] = []
  function request({ at, runMs }: Request): void {
    clock.after(at, () => {
      const before = begun.filter(ofProof).length - (line[0] && ofProof(line[0].run) ? 1 : 0)
      const mine: Run = { inputs: {}, fetches: [] }
      const start = (): void =>
        post(mine, runMs, () => {
          delays.push(begun.slice(0, begun.indexOf(mine)).filter(ofProof).length - before)
          flush()
        })
      waiting.push({ since: at, ms: runMs, start })
      flush()
    })
  }
  return { clock, gaps, request, delays, begun }
}

const requests = fc.array(fc.record({ at: fc.nat(400), runMs: fc.integer({ min: 1, max: 30 }) }), { maxLength: 60 })

test.each([false, true])('no request waits for more than one of them, whenever it comes (posted ahead: %s)', async (ahead) => {
  await fc.assert(
    fc.asyncProperty(requests, fc.integer({ min: 1, max: 20 }), async (all, proofMs) => {
      const { clock, gaps, request, delays, begun } = workplace(proofMs, { ahead })
      for (const one of all) request(one)
      const proof = gaps.runAll(Array.from({ length: 20 }, () => PROOF))
      await clock.letPass(5000)
      expect(delays).toHaveLength(all.length)
      expect(Math.max(0, ...delays)).toBeLessThanOrEqual(1)
      expect(await proof).toHaveLength(20)
      expect(begun.filter(ofProof)).toHaveLength(20)
    }),
    { numRuns: 50 },
  )
})

test('requests that leave no gap do not keep a proof from its end', async () => {
  const { clock, gaps, request, delays } = workplace(5)
  // More than the worker can do: one of them always waits.
  for (let at = 0; at < 1000; at += 10) for (let i = 0; i < 2; i++) request({ at, runMs: 6 })
  const proof = gaps.runAll(Array.from({ length: 10 }, () => PROOF))
  await clock.letPass(1000)
  expect(delays.length).toBeLessThan(200)
  await clock.letPass(5000)
  expect(await proof).toHaveLength(10)
  expect(Math.max(...delays)).toBe(1)
})

test('those that have not begun are given up at the end, and nothing is left that waits', async () => {
  const { clock, gaps, request, begun } = workplace(5)
  request({ at: 0, runMs: 1000 })
  await clock.letPass(1)
  const proof = gaps.runAll([PROOF, PROOF])
  gaps.end()
  expect((await proof).map((outcome) => 'error' in outcome && outcome.error.code)).toEqual(['WORKER_LOST', 'WORKER_LOST'])
  expect(begun.filter(ofProof)).toEqual([])
})

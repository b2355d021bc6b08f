/** Each way in which those who wait for the run of an equal request end: nothing of them is left behind. */

import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { ModelmountError } from '../../../src/core/errors.ts'
import { call, floats, mapStore, type Run, settled, setUp } from './support.ts'

/** Runs that are answered by hand, and no timer of their own. */
function byHand() {
  const runs: Pick<Run, 'answer' | 'fail'>[] = []
  const run = () =>
    new Promise<never>((resolve, reject) => {
      const outputs = { y: floats(1) }
      const answer = (): void => resolve({ outputs, queueMs: 0, inferMs: 0, batchSize: 1, endedAt: 0 } as never)
      runs.push({ answer, fail: reject })
    })
  return { runs, run }
}

const ENDINGS = {
  answered: (runs: ReturnType<typeof byHand>['runs']) => runs[0]?.answer(),
  failed: (runs: ReturnType<typeof byHand>['runs']) => runs[0]?.fail(new ModelmountError('INFERENCE_FAILED', 'no')),
  aborted: (_: unknown, abort: () => void) => abort(),
  expired: (_: unknown, __: unknown, expire: () => void) => expire(),
} as const

test.each(Object.entries(ENDINGS))('%s: no listener on a signal that they share, and no timer', async (_, end) => {
  const { clock, cache } = setUp()
  const { runs, run } = byHand()
  const controller = new AbortController()
  const { signal } = controller
  const answers = Array.from({ length: 5 }, () => cache.getOrRun({ x: floats(1) }, call({ signal, timeoutMs: 5000 }), run))
  const outcomes = Promise.allSettled(answers)
  await settled()
  expect(getEventListeners(signal, 'abort')).toHaveLength(1)
  end(
    runs,
    () => controller.abort(),
    () => clock.advance(5000),
  )
  // The first one's deadline is its run's.
  if (end === ENDINGS.expired) runs[0]?.fail(new ModelmountError('DEADLINE_EXCEEDED', 'too late'))
  await outcomes
  expect(getEventListeners(signal, 'abort')).toEqual([])
  expect(clock.pending()).toBe(0)
})

test('a look-up in the shared level that is done keeps no close() waiting', async () => {
  const { cache } = setUp({ store: mapStore().store })
  const { runs, run } = byHand()
  const answer = cache.getOrRun({ x: floats(1) }, call(), run)
  await settled()
  runs[0]?.answer()
  await answer
  expect(cache.close()).toBeUndefined()
})

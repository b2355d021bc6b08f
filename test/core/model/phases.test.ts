/** Each phase of a version has its own parts, so that the compiler refuses questions about any other. */

import { expect, test } from 'vitest'
import { failureIn, type Phase, runningIn } from '../../../src/core/model/phases.ts'

type Named<N extends Phase['name']> = Extract<Phase, { readonly name: N }>

/** Never called: the compiler reads it. */
export function refused(serving: Named<'serving'>, reading: Named<'reading'>, waiting: Named<'waiting'>): unknown[] {
  return [
    serving.serving.pool,
    reading.loading.ended,
    // @ts-expect-error a version that serves has no load under way
    serving.loading,
    // @ts-expect-error nor a failure
    serving.failure,
    // @ts-expect-error a version that is read has no instances
    reading.running,
    // @ts-expect-error and does not serve
    reading.serving,
    // @ts-expect-error before its load it has nothing
    waiting.loading,
  ]
}

test('a phase without parts gives none', () => {
  const waiting: Phase = { name: 'waiting' }
  expect([runningIn(waiting), failureIn(waiting)]).toEqual([undefined, undefined])
})

/**
 * The places in the stack of a failed run. Its error is made in a later turn than the call, from a worker's message.
 * No promise is spent on each place, so that V8's own stack names none. The places are added when the failure is handed to its caller.
 */

import type { Call } from './call.ts'
import { PLACES } from './stage.ts'

const completed = new WeakSet<object>()

/** Innermost first, as in every stack. */
export function completeStack(error: unknown, { model, codec }: Pick<Call, 'model' | 'codec'>): void {
  if (!(error instanceof Error) || completed.has(error)) return
  completed.add(error)
  const lines = PLACES.toReversed().map((place) => `    at async ${place} (modelmount, model '${model}')`)
  const front = codec ? 'handle' : 'predict'
  error.stack = [error.stack ?? String(error), ...lines, `    at async ${front} (modelmount)`].join('\n')
}

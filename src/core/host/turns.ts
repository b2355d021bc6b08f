/** Work of the host's thread in slices, between which its event loop turns. */

import { channel } from 'node:diagnostics_channel'
import { setImmediate } from 'node:timers/promises'
import type { Steps } from '../protocol/index.ts'

/**
 * Tells how many bytes the host's thread has gone through for a request, slice by slice: `{ bytes }`. Nothing is published while nobody
 * listens.
 */
const work = channel('modelmount:host-work')

export function tellWork(bytes: number): void {
  if (work.hasSubscribers) work.publish({ bytes })
}

/** The result of steps: at once where they are short, else after some turns of the event loop. */
export function inTurns<T>(steps: Steps<T>): T | Promise<T> {
  const first = steps.next()
  return first.done ? first.value : rest(steps, first.value)
}

async function rest<T>(steps: Steps<T>, first: number): Promise<T> {
  tellWork(first)
  for (;;) {
    await setImmediate()
    const step = steps.next()
    if (step.done) return step.value
    tellWork(step.value)
  }
}

/** Splits work on the host's thread into slices, with turns of the event loop between them. */

import { channel } from 'node:diagnostics_channel'
import { setImmediate } from 'node:timers/promises'
import type { Steps } from '../dialects/codec/index.ts'

/** Publishes how many bytes of a request each slice processed: `{ bytes }`. Nothing is published without a subscriber. */
const work = channel('modelmount:host-work')

export function tellWork(bytes: number): void {
  if (work.hasSubscribers) work.publish({ bytes })
}

/** Runs the steps: at once if they are short, else over several turns of the event loop. */
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

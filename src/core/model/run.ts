/** Runs one request of a version that serves: through its views and, where it keeps state, its sequence, into the queue. */

import type { LendingBufferPool } from '../engine/buffer-pool.ts'
import type { Clock } from '../host/clock.ts'
import type { CheckedCall } from '../predict/call.ts'
import type { Finished } from '../scheduler/entry.ts'
import type { Sequences } from '../sequences/index.ts'
import { discard } from '../tensor/index.ts'
import type { About } from './about.ts'
import type { LeanDoors } from './lean.ts'
import type { Running } from './running.ts'
import type { SessionView } from './view/session.ts'
import type { Tensors } from './view/view.ts'

/** Queues one run. Its tensors have passed the check, and belong to the engine from here on. */
export type RunModel = (call: CheckedCall) => Promise<Finished>

interface Deps {
  readonly about: About
  readonly lean: LeanDoors
  readonly sequences: Sequences | undefined
  readonly clock: Clock
}

/** Inputs that are no loans of the pool, which go back there. */
function takenFrom(inputs: Tensors, buffers: LendingBufferPool | undefined): Tensors {
  const isLent = (data: Tensors[string]['data']): boolean => 'buffer' in data && buffers?.isLent(data.buffer) === true
  return Object.fromEntries(Object.entries(inputs).filter(([, { data }]) => !isLent(data)))
}

/** Memory that a caller gave away and that no message took: its rows were joined with others, or cut into pieces. */
function freeAfter(finished: Promise<unknown>, inputs: Tensors): void {
  const free = (): void => discard(inputs)
  finished.then(free, free)
}

export function createRun(
  { outer, inner }: SessionView,
  { scheduler, provision: { slot } }: Pick<Running, 'scheduler' | 'provision'>,
  { about: { buffers, config }, lean, sequences, clock }: Deps,
): RunModel {
  const { timeoutMs, priority } = config
  const { up } = outer

  const deadlineOf = (opts: CheckedCall): number => opts.at + (opts.timeoutMs ?? timeoutMs)

  function submit(inputs: Tensors, fetches: readonly string[], opts: CheckedCall, enqueuedAt: number): Promise<Finished> {
    const { refusal } = slot
    if (refusal) throw refusal
    const short = lean.run(opts, inputs)
    if (short) {
      buffers?.releaseAfter(short, inputs)
      return short
    }
    const finished = scheduler.submit({
      run: { inputs: inner.down(inputs), fetches },
      enqueuedAt,
      deadline: deadlineOf(opts),
      signal: opts.signal,
      shareable: opts.shareable,
      priority: opts.priority ?? priority,
      tenant: opts.tenant ?? '',
      connection: opts.connection,
      trace: opts.trace,
    })
    // Queued first: a model that is out of memory comes back for requests that wait.
    slot.touch()
    buffers?.releaseAfter(finished, inputs)
    if (opts.transfer && !sequences) freeAfter(finished, takenFrom(inputs, buffers))
    return finished
  }

  return (call) => {
    const taken = outer.down(call.inputs)
    const { sequence, tenant, fetches, signal } = call
    const finished = sequences
      ? sequences.run(taken, { sequence, tenant, fetches, signal, deadline: deadlineOf(call) }, (feed, wanted) =>
          submit(feed, wanted, call, clock.now()),
        )
      : submit(taken, fetches, call, call.at)
    return up ? finished.then((done) => ({ ...done, outputs: up(done.outputs) })) : finished
  }
}

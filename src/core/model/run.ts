/** Runs one request of a version that serves: through its views and, where it keeps state, its sequence, into the queue. */

import type { CallOptions } from '../cache/index.ts'
import type { Clock } from '../host/clock.ts'
import type { Finished } from '../scheduler/entry.ts'
import type { SequenceCall, Sequences } from '../sequences/index.ts'
import type { About } from './about.ts'
import type { Running } from './running.ts'
import type { Served } from './view/served.ts'
import type { Tensors } from './view/view.ts'

/** How one request wants to run. */
export interface RunOptions extends CallOptions {
  readonly sequence?: SequenceCall | undefined
}

/** Queues one run. The tensors must have passed the check and belong to the engine from here on. */
export type RunModel = (inputs: Tensors, opts: RunOptions) => Promise<Finished>

interface Deps {
  readonly about: About
  readonly sequences: Sequences | undefined
  readonly clock: Clock
}

export function createRun(
  { outer, inner }: Served,
  { scheduler, provision: { seat } }: Pick<Running, 'scheduler' | 'provision'>,
  { about: { buffers, config }, sequences, clock }: Deps,
): RunModel {
  const { timeoutMs } = config
  const { up } = outer

  const deadlineOf = (opts: RunOptions): number => opts.at + (opts.timeoutMs ?? timeoutMs)

  function submit(inputs: Tensors, fetches: readonly string[], opts: RunOptions, enqueuedAt: number): Promise<Finished> {
    const { refusal } = seat
    if (refusal) throw refusal
    const finished = scheduler.submit({
      run: { inputs: inner.down(inputs), fetches },
      enqueuedAt,
      deadline: deadlineOf(opts),
      signal: opts.signal,
      shareable: opts.shareable,
      priority: opts.priority,
      tenant: opts.tenant ?? '',
      connection: opts.connection,
      trace: opts.trace,
    })
    // Queued first: what is out of memory comes back for those who wait.
    seat.touch()
    buffers?.releaseAfter(finished, inputs)
    return finished
  }

  return (inputs, opts) => {
    const taken = outer.down(inputs)
    const finished = sequences
      ? sequences.run(taken, { ...opts, deadline: deadlineOf(opts) }, (feed, fetches) => submit(feed, fetches, opts, clock.now()))
      : submit(taken, opts.fetches, opts, opts.at)
    return up ? finished.then((done) => ({ ...done, outputs: up(done.outputs) })) : finished
  }
}

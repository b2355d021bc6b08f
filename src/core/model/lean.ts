/** The doors to the lean path of a version: for calls as `predict()` gets them, and for calls that have passed the check. */

import type { CheckedCall } from '../predict/call.ts'
import type { Lean } from '../predict/served.ts'
import type { PredictInputs, PredictOptions } from '../predict/types.ts'
import type { Finished } from '../scheduler/entry.ts'
import type { LongReason, Sink } from '../scheduler/lean/index.ts'
import type { About } from './about.ts'
import type { Running } from './running.ts'
import type { SessionView } from './view/session.ts'
import type { Tensors } from './view/view.ts'

/** Runs of requests by their path, and why the others took the long one. */
export interface PathCounts {
  readonly lean: number
  readonly long: Readonly<Record<LongReason, number>>
}

export interface LeanDoors {
  /** For `predict()`; `undefined` where its inputs need a closer look. */
  readonly front: Lean | undefined
  /** @returns `undefined` for a call that has to take the long way */
  run(call: CheckedCall, inputs: Tensors): Promise<Finished> | undefined
  readonly counts: PathCounts
}

/** Of checked calls: they get the outputs of the run themselves. */
const AS_IT_IS: Sink = { answered: (finished) => finished, failed: (error) => error }

export function createLean(
  { isPlain, outer }: SessionView,
  { scheduler: { lane }, provision: { slot } }: Pick<Running, 'scheduler' | 'provision'>,
  { config }: Pick<About, 'config'>,
): LeanDoors {
  const { timeoutMs, priority, maxElements, maxBatch = Number.POSITIVE_INFINITY } = config
  const long: Record<LongReason, number> = { off: 0, terms: 0, unbatched: 0, queue: 0, limits: 0, inputs: 0 }
  const isOn = config.leanPath && isPlain
  const whole = outer.signature.outputs.length
  let lean = 0

  const front: Lean = {
    offer(inputs: PredictInputs, at: number, opts: PredictOptions): number {
      const { signal, tenant = '' } = opts
      if (isSpecial(opts) || slot.refusal) return 0
      if (!lane.admits(at, at + (opts.timeoutMs ?? timeoutMs), tenant, opts.priority ?? priority, undefined, signal)) return 0
      return lane.write(inputs, maxElements, maxBatch)
    },
    commit(rows, at, opts, trace, sink) {
      lean++
      const deadline = at + (opts.timeoutMs ?? timeoutMs)
      const answered = lane.commit(rows, at, deadline, opts.signal, undefined, trace, opts.id, sink)
      slot.touch()
      return answered
    },
  }

  function run(call: CheckedCall, inputs: Tensors): Promise<Finished> | undefined {
    const reason = isOn ? whyNot(call) : 'off'
    const rows = reason === undefined ? lane.write(inputs, undefined, maxBatch) : 0
    if (rows === 0) {
      long[reason ?? lane.because]++
      return undefined
    }
    lean++
    const { at, signal, connection, trace, id } = call
    const finished = lane.commit(rows, at, deadlineOf(call), signal, connection, trace, id, AS_IT_IS)
    slot.touch()
    return finished as Promise<Finished>
  }

  function whyNot(call: CheckedCall): LongReason | undefined {
    if (!call.shareable || call.sequence || call.fetches.length !== whole) return 'terms'
    const { at, tenant = '', connection, signal } = call
    return lane.admits(at, deadlineOf(call), tenant, call.priority ?? priority, connection, signal) ? undefined : lane.because
  }

  const deadlineOf = ({ at, timeoutMs: own = timeoutMs }: CheckedCall): number => at + own

  return {
    front: isOn && !outer.signature.inputs.some(({ nonFinite }) => nonFinite) ? front : undefined,
    run,
    get counts() {
      return { lean, long: { ...long } }
    },
  }
}

const isSpecial = ({ version, label, outputs, batch, sequence, transfer }: PredictOptions): boolean =>
  (version ?? label ?? outputs ?? sequence) !== undefined || batch === false || transfer === true

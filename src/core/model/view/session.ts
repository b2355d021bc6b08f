/** A loaded session as requests see it: its views folded, and all else that follows from its signature. */

import type { BufferPool } from '../../engine/buffer-pool.ts'
import type { TensorRecord } from '../../engine/frame.ts'
import type { Loaded } from '../../engine/messages.ts'
import type { OnnxModelFacts } from '../../onnx/types.ts'
import type { ModelConfig } from '../../options/index.ts'
import type { PredictInputs } from '../../predict/types.ts'
import { findRagged } from '../../scheduler/batching.ts'
import { planSequences, type SequencePlan } from '../../sequences/index.ts'
import { checkInputs } from '../../tensor/index.ts'
import type { LeftOutput, ModelSignature } from '../../tensor/types.ts'
import { type Contract, contractOf } from './contract.ts'
import { createIntake, type Intake } from './intake.ts'
import { maskView } from './mask.ts'
import { signatureOf } from './signature.ts'
import { stateView } from './state.ts'
import { fold, plainView, type View } from './view.ts'

export interface SessionView {
  /** As runs see it: the graph's, with what may be left out. */
  readonly graph: ModelSignature
  /** Outputs that are not served. */
  readonly leftOut: readonly LeftOutput[]
  /** As requests see it. It hands their inputs down to their sequence, where the model keeps state, else to the queue. */
  readonly outer: Contract
  /** From there to the graph, whose outputs come back as they are. */
  readonly inner: Omit<View, 'up'>
  /** Requests see the graph as it is. */
  readonly isPlain: boolean
  /** Of a model with state. */
  readonly plan: SequencePlan | undefined
  /** Makes tensors of the server's own of a caller's inputs. */
  readonly intake: Intake
  /** A sample as the graph takes it. @throws ModelmountError `INPUT_INVALID` */
  take(sample: PredictInputs): TensorRecord
}

interface About {
  readonly config: ModelConfig
  readonly facts: OnnxModelFacts | undefined
  /** Outputs that were left out of the graph. */
  readonly leftOut: readonly LeftOutput[] | undefined
  /** For large copies. */
  readonly buffers: BufferPool | undefined
}

/** @throws ModelmountError `CONFIG_INVALID` where the settings contradict the graph, `MODEL_UNSUPPORTED` */
export function viewSession(session: Loaded, { config, facts, leftOut: before, buffers }: About): SessionView {
  const { leftOut, ...bare } = signatureOf(facts, session, before)
  const ragged = findRagged(bare, config.batching)
  const inner = typeof ragged === 'object' ? maskView(bare, ragged) : plainView(bare)
  const graph = inner.signature
  const { batching, sequences } = config
  const plan = sequences && planSequences(graph, sequences, batching ? batching.axes : {})
  const between = plan ? fold([inner, stateView(graph, plan)]) : inner
  const outer = contractOf({ ...between.signature, leftOut }, config, facts?.presetInputs)
  const whole = fold([between, outer])
  return {
    graph,
    leftOut,
    outer,
    inner,
    isPlain: outer.isPlain && typeof ragged !== 'object' && !plan,
    plan,
    intake: createIntake(outer.signature, config, buffers),
    take: (sample) => whole.down(checkInputs(outer.signature, sample, config)),
  }
}

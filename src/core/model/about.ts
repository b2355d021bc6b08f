/** The facts about a model version. A load adds to them step by step; before a step they hold the defaults. */

import type { OwnedBufferPool } from '../engine/buffer-pool.ts'
import type { Berth } from '../engine/seats/berth.ts'
import type { Integrity } from '../integrity/index.ts'
import type { GraphEdit, OnnxModelFacts } from '../onnx/types.ts'
import type { ModelConfig } from '../options/index.ts'
import type { ExampleForm } from '../tensor/index.ts'
import type { ModelInfo } from './types.ts'
import { type Contract, contractOf } from './view/contract.ts'
import { createIntake, type Intake } from './view/intake.ts'

export interface About {
  /** As it was given, but for what its graph asks for. */
  readonly config: ModelConfig
  /** Of its files, where that was asked for. */
  readonly integrity: Integrity | undefined
  /** Of the graph that is loaded; none for `.ort` files. */
  readonly facts: OnnxModelFacts | undefined
  readonly edits: readonly GraphEdit[]
  readonly labels: ModelInfo['labels']
  readonly hazard: string | undefined
  /** Where it may share a thread: where it does. */
  readonly berth: Berth | undefined
  /** Why it does not, in the thread tier. */
  readonly ownWorker: string | undefined
  /** Only threads give memory back: a child process reads its pipe into memory of its own. */
  readonly buffers: OwnedBufferPool | undefined
  readonly contract: Contract
  readonly intake: Intake
  /** As its session reports them. */
  readonly session: Pick<ModelInfo, 'executionProvider' | 'loadMs' | 'providerFallbacks'>
  /** How to make a request that it has answered; none where no request was tried. */
  readonly example: ExampleForm | undefined
}

const NOTHING = { inputs: [], outputs: [] }

/** Before anything of it was read. */
export const unread = (config: ModelConfig, buffers: OwnedBufferPool): About => ({
  config,
  integrity: undefined,
  facts: undefined,
  edits: [],
  labels: config.labels,
  hazard: undefined,
  berth: undefined,
  ownWorker: undefined,
  buffers: config.isolation === 'thread' ? buffers : undefined,
  contract: contractOf(NOTHING, { inputs: {}, outputs: {} }),
  intake: createIntake(NOTHING, config),
  session: { providerFallbacks: [] },
  example: undefined,
})

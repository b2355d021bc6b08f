/** One model version: its state, and what is known of it. */

import type { CacheInfo } from '../cache/types.ts'
import type { JsonValue } from '../dialects/types.ts'
import type { ExecutionProviderName, Isolation, MemoryInfo, TierInfo, WeightsInfo } from '../engine/types.ts'
import type { ErrorCode } from '../errors.ts'
import type { Signer } from '../integrity/types.ts'
import type { GraphEdit } from '../onnx/types.ts'
import type { ConfigNote } from '../registry/types.ts'
import type { BatchingInfo, QueueInfo } from '../scheduler/types.ts'
import type { SequencesInfo } from '../sequences/types.ts'
import type { LeftOutput, ModelSignature } from '../tensor/types.ts'

export type { ModelSettings, ModelSpec } from '../options/model.ts'
export type { LoadOptions, ModelSource, ValueSettings } from './options.ts'

export type ModelState = 'loading' | 'ready' | 'draining' | 'failed' | 'unloaded'

/** The server's facts about one model version. */
export interface ModelInfo extends ModelSignature {
  readonly name: string
  readonly version: string
  readonly state: ModelState
  /** Why the state is `failed`. */
  readonly reason?: { readonly code: ErrorCode; readonly message: string }
  /** True for the version that requests without a version get. */
  readonly isDefault: boolean
  /** Labels that point at this version; absent where none does. */
  readonly versionLabels?: readonly string[]
  /**
   * SHA-256 over the names and digests of all files of the model, `sha256:…`. Known where models are verified, locked or kept in a store
   * (`trust`, `verification`, `lock`, `store`).
   */
  readonly manifestId?: string
  /** Its signer, where that was verified. */
  readonly signer?: Signer
  /** SHA-256 of the signature file, `sha256:…`. */
  readonly signatureDigest?: string
  readonly isolation: Isolation
  /** Where runs happen, and why. */
  readonly tier: TierInfo
  /**
   * An operator of the graph that can end the process that runs it by the values of a request, as a sentence with its node. Where `isolation` is
   * not given, such a model runs in a process of its own.
   */
  readonly hazard?: string
  /** Instances that can take a request now, how many there should be at this load, the bounds, and the threads of one instance's runs. */
  readonly instances: {
    readonly ready: number
    readonly target: number
    readonly min: number
    readonly max: number
    readonly threads: number
  }
  /** False while a `ready` model is out of memory because no request came; the next one loads it. */
  readonly resident: boolean
  /** Memory of the instances. Absent before it is known. */
  readonly memory?: MemoryInfo
  readonly batching: BatchingInfo
  readonly weights: WeightsInfo
  readonly queue: QueueInfo
  /** Set where results are kept. */
  readonly cache?: CacheInfo
  /** Set where requests belong to sequences. */
  readonly sequences?: SequencesInfo
  /** The provider that runs the model, once it is loaded. */
  readonly executionProvider?: ExecutionProviderName
  /** Preferred providers that could not start, with ONNX Runtime's reason. */
  readonly providerFallbacks: readonly { readonly provider: ExecutionProviderName; readonly reason: string }[]
  readonly opsets: Readonly<Record<string, number>>
  readonly producer: string
  readonly metadata: Readonly<Record<string, string>>
  readonly doc: string
  /** Changes of the graph after its file was verified; its id and its signature are of the file as it is. Empty for most models. */
  readonly edits: readonly GraphEdit[]
  /** Outputs of the file that are not served, and what helps. Empty for most models. */
  readonly leftOut: readonly LeftOutput[]
  /** By name of the output: the meanings of its elements. Of a ZipMap, where the settings say nothing, its classes. */
  readonly labels?: Readonly<Record<string, readonly string[]>>
  /** The model's `config.pbtxt` as JSON, with Triton's field names. */
  readonly tritonConfig?: { readonly [field: string]: JsonValue }
  /** Settings in the model's files that are not honoured. */
  readonly configNotes: readonly ConfigNote[]
  /** Milliseconds that the slowest instance took to load. */
  readonly loadMs?: number
}

/** One model version: its settings, its state, and what is known of it. Defaults are documented here and live in options.ts. */

import type { CacheInfo, CacheOptions } from '../cache/types.ts'
import type {
  BalanceStrategy,
  ExecutionProvider,
  ExecutionProviderName,
  Isolation,
  MemoryInfo,
  ScalingOptions,
  SessionOptions,
  WeightsInfo,
} from '../engine/types.ts'
import type { ErrorCode } from '../errors.ts'
import type { SignatureSource, Signer } from '../integrity/types.ts'
import type { GraphEdit } from '../onnx/types.ts'
import type { PredictInputs } from '../predict/types.ts'
import type { JsonValue } from '../protocol/types.ts'
import type { ConfigNote } from '../registry/types.ts'
import type { BatchingInfo, BatchOptions, Priority, QueueInfo } from '../scheduler/types.ts'
import type { SequenceOptions, SequencesInfo } from '../sequences/types.ts'
import type { DType, LeftOutput, ModelSignature } from '../tensor/types.ts'

/** Where a model comes from: a path, a `file:` URL, or the bytes of an `.onnx` file (self-contained, no external data). */
export type ModelSource = string | URL | Uint8Array

/** Settings that a model spec and the whole server share; the spec wins. */
export interface ModelSettings {
  /**
   * Where the model runs.
   * @default 'thread'; 'process' for a graph that can end its process by the values of a request, see {@link ModelInfo.hazard}, and inside a
   * worker thread, where 'thread' is refused: ending that one during a run would end the whole process
   */
  readonly isolation?: Isolation
  /**
   * Load the model in a child process of its own and run it there once, before it gets near anything that serves; `'unverified'`: only where
   * nobody trusted has signed it. It runs with the samples of `warmup`, else with inputs that are made up, which `batching: false` forbids. Takes
   * the time of a load.
   * @default true with `isolation: 'process'`, false with `'thread'`
   */
  readonly canary?: boolean | 'unverified'
  /**
   * How many copies of the model run side by side; each runs one request, or one batch, at a time. With two bounds there are as many as the
   * load needs; a `min` of 0 unloads the model when nobody asks for it (`idleUnloadMs` is `scaling.idleMs` then).
   * @default 1
   */
  readonly instances?: number | { readonly min: number; readonly max: number }
  /**
   * Let instances map one file of ready-packed weights, in this process and in others, instead of each holding a copy. `'auto'` does it for
   * several instances of a model file with at least 16 MiB of weights on the `cpu` provider, where it was measured to cost no speed; `true`
   * whenever the answers are the same. Takes disk space in `cacheDirectory`, about twice the weights.
   * @default 'auto'
   */
  readonly shareWeights?: boolean | 'auto'
  /** @default {} */
  readonly scaling?: ScalingOptions
  /** @default 'fastest' */
  readonly balance?: BalanceStrategy
  /** Milliseconds without a request after which the model leaves memory; the next request loads it again. @default never */
  readonly idleUnloadMs?: number
  /** Linux: how far workers stand back behind the host's own threads for CPU, from 0 to 19 (`nice`). @default 0 */
  readonly niceness?: number
  /** Execution providers in order of preference. @default ['cpu'] */
  readonly executionProviders?: readonly ExecutionProvider[]
  /** Fail the load when the first execution provider cannot start, instead of falling back to the next. @default false */
  readonly strictProviders?: boolean
  readonly session?: SessionOptions
  /**
   * Joining waiting requests into one run, where the model was proved to answer the same and to gain from it; `false` for never.
   * A free instance never waits for a batch to fill.
   * @default {}
   */
  readonly batching?: false | BatchOptions
  /**
   * Keeping results, for models whose inputs repeat; `false` for none. Given for the whole server it holds for each model version by itself.
   * Not for models that draw random numbers: a kept result is the same every time. Nothing is kept for models with `sequences`.
   * @default false
   */
  readonly cache?: false | CacheOptions
  /** Deadline of a request that brings none, in milliseconds. @default 30000 */
  readonly timeoutMs?: number
  /**
   * Longest deadline that a request over HTTP may ask for, in milliseconds. A longer one is cut to this, and the answer says so by the header
   * `x-request-timeout-ms`. Calls of `predict()` are not bounded by it.
   * @default the model's `timeoutMs`
   */
  readonly maxTimeoutMs?: number
  /**
   * Inputs to run before the model is ready, each as for `predict()`. One that fails fails the load. Their rows are also what batching is tried
   * with. Without samples inputs are made up, at most 2^20 elements a run, and tried in a child process before an instance runs them; with
   * `batching: false` nothing is made up.
   */
  readonly warmup?: readonly PredictInputs[]
  /** Longest time that loading one instance may take, in milliseconds. @default 120000 */
  readonly loadTimeoutMs?: number
  /** Requests that may wait for a free instance; more are refused with `QUEUE_FULL`. @default 1000 */
  readonly maxQueue?: number
  /** Requests that one tenant may have waiting; more are refused with `QUOTA_EXCEEDED`. @default half of `maxQueue` */
  readonly maxQueuePerTenant?: number
  /** Bytes of input tensors that may wait for a free instance; more are refused with `QUEUE_FULL`. @default 268435456 (256 MiB) */
  readonly maxQueueBytes?: number
  /** Process tier on Linux: private memory at which a child is killed, in bytes. @default no cap */
  readonly maxMemoryBytes?: number
  /** Largest tensor, in elements, that one input may have. @default 67108864 (2^26) */
  readonly maxElements?: number
  /** Accept `.ort` files, whose graph cannot be read before ONNX Runtime loads it. @default false */
  readonly allowOrtFormat?: boolean
  /** Share of a busy model that requests get which ask for none. @default 'normal' */
  readonly priority?: Priority
  /**
   * Most rows of one request: sizes of the first dimension of inputs where the graph leaves it open. More are refused with `INPUT_INVALID`.
   * @default no bound but `maxElements`
   */
  readonly maxBatch?: number
  /**
   * Longest time that a request waits for a free instance, in milliseconds; then it is refused with `OVERLOADED`. Other than `timeoutMs`, it does
   * not count the run.
   * @default no bound but the deadline
   */
  readonly maxWaitMs?: number
}

/** What one input or output looks like to requests, where that is not what the graph says. A contradiction to the graph fails the load. */
export interface ValueSettings {
  /** Must be the graph's own; a check that the right file is there. */
  readonly type?: DType
  /** Sizes that requests use, rows included; -1 for any. Numbers narrow what the graph leaves open. */
  readonly dims?: readonly number[]
  /** What the graph takes or gives instead of `dims`: the same elements, and a -1 for each -1 of `dims`, in order. */
  readonly reshape?: readonly number[]
  /** Inputs only: a request may leave it out. The graph must have a default for it. @default what the graph says */
  readonly optional?: boolean
  /**
   * Inputs only: whether its floats may be NaN or infinite, missing values (`null` in JSON) among them. `'reject'` refuses them with
   * `INPUT_INVALID`, in every encoding and in `predict()`.
   * @default 'allow'
   */
  readonly nonFinite?: 'allow' | 'reject'
}

/** One model version to serve. */
export interface ModelSpec extends ModelSettings {
  /** Letters, digits, `.`, `_`, `-`; at most 128 characters, starting with a letter or digit. */
  readonly name: string
  /** Opaque; digits sort as numbers. @default '1' */
  readonly version?: string
  readonly source: ModelSource
  /**
   * Its signature, in the format OpenSSF Model Signing v1.0: of the file, or of the folder that it lies in.
   * @default `<source>.sig`, or else `model.sig` in the same folder
   */
  readonly signature?: SignatureSource
  /** By name of the input. */
  readonly inputs?: Readonly<Record<string, ValueSettings>>
  /** By name of the output. */
  readonly outputs?: Readonly<Record<string, ValueSettings>>
  /** For a model with state: requests belong to sequences. @default none: each request stands for itself */
  readonly sequences?: SequenceOptions
  /** By name of the output: what its elements stand for, in order, for answers in words (classification). */
  readonly labels?: Readonly<Record<string, readonly string[]>>
  /**
   * Names for versions of this model, for callers that ask for `stable` instead of a number: `{ stable: '3', canary: '4' }`. They hold for all
   * versions of the name. A label moves when the version that it points at by now is ready, never before; {@link ModelServer.setVersionLabel}
   * moves it at run time.
   */
  readonly versionLabels?: Readonly<Record<string, string>>
  /** Facts about the model for people and tools, added to the ones in its file. */
  readonly metadata?: Readonly<Record<string, string>>
}

export type ModelState = 'loading' | 'ready' | 'draining' | 'failed' | 'unloaded'

/** What the server knows of one model version. */
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
  /** Who has signed it, where that was verified. */
  readonly signer?: Signer
  /** SHA-256 of the signature file, `sha256:…`. */
  readonly signatureDigest?: string
  readonly isolation: Isolation
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
  /** False while a `ready` model is out of memory because nobody asked for it; the next request loads it. */
  readonly resident: boolean
  /** What the instances take in memory. Absent before it is known. */
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
  /** What was changed in the graph after its file was verified; its id and its signature are of the file as it is. Empty for most models. */
  readonly edits: readonly GraphEdit[]
  /** Outputs of the file that are not served, and what helps. Empty for most models. */
  readonly leftOut: readonly LeftOutput[]
  /** By name of the output: what its elements stand for. Of a ZipMap, where the settings say nothing, its classes. */
  readonly labels?: Readonly<Record<string, readonly string[]>>
  /** The model's `config.pbtxt` as JSON, with Triton's field names. */
  readonly tritonConfig?: { readonly [field: string]: JsonValue }
  /** What the model's files ask for and do not get. */
  readonly configNotes: readonly ConfigNote[]
  /** Milliseconds that the slowest instance took to load. */
  readonly loadMs?: number
}

export interface LoadOptions {
  /**
   * Where the bytes of models are known (`ModelInfo.manifestId`), a name and version stands for the same ones for as long as it is loaded:
   * others are refused with `MODEL_CONFLICT`, unless this is `true`.
   * @default false
   */
  readonly replace?: boolean
}

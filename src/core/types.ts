/** Public types of the core. Defaults are documented here and live in options.ts. */

import type { EncryptionOptions } from './crypto/index.ts'
import type { ErrorCode } from './errors.ts'
import type { SignatureSource, Signer, StoreOptions, TrustOptions, Verification } from './integrity/index.ts'
import type { Telemetry } from './telemetry.ts'
import type { InputsOf, OutputsOf, PredictOptionsFor, PredictResultFor } from './typed.ts'

// ---------------------------------------------------------------- tensors

/** Element types that onnxruntime-node carries, in its own spelling. */
export type DType =
  | 'float32'
  | 'float64'
  | 'float16'
  | 'int8'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'uint8'
  | 'uint16'
  | 'uint32'
  | 'uint64'
  | 'bool'
  | 'string'

/** The array that holds the elements of each {@link DType}. */
export interface DTypeArrays {
  float32: Float32Array
  float64: Float64Array
  /** Raw IEEE 754 half bits, on every Node version. */
  float16: Uint16Array
  int8: Int8Array
  int16: Int16Array
  int32: Int32Array
  int64: BigInt64Array
  uint8: Uint8Array
  uint16: Uint16Array
  uint32: Uint32Array
  uint64: BigUint64Array
  /** 0 or 1 per element. */
  bool: Uint8Array
  string: readonly string[]
}

/** A dense row-major tensor; `data.length` equals the product of `dims` (1 for a scalar, whose `dims` is `[]`). */
export type Tensor = {
  [T in DType]: { readonly type: T; readonly dims: readonly number[]; readonly data: DTypeArrays[T] }
}[DType]

/** Any typed array that can stand for a whole tensor. */
export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint8ClampedArray
  | Uint16Array
  | Uint32Array
  | BigUint64Array

export type TensorScalar = number | bigint | boolean | string
export type NestedArray = readonly (TensorScalar | NestedArray)[]

/** What `predict()` takes for one input: a tensor, a typed array (its shape is inferred), nested arrays, or a scalar. */
export type TensorLike = Tensor | TypedArray | NestedArray | TensorScalar

// ---------------------------------------------------------------- models

/** One dimension: a number is fixed, a string is symbolic (equal symbols mean equal sizes), `null` is dynamic and unnamed. */
export type Dim = number | string | null

/** One input or output of a model. */
export interface ValueInfo {
  readonly name: string
  /** Element type; `undefined` when the value is not a tensor or its type cannot be carried. */
  readonly type: DType | undefined
  /** The type as the file declares it, for example `tensor(float)`, `tensor(int4)`, `seq(tensor(int64))`; where it does not, as it follows. */
  readonly declaredType: string
  /** `undefined` when the rank is unknown; `[]` is a scalar. */
  readonly dims: readonly Dim[] | undefined
  /** True when a request may leave the input out: a mask of `batching.ragged`, which is made up where it is missing. */
  readonly optional?: boolean
  /** Inputs only: `reject` where the settings refuse NaN and infinities. */
  readonly nonFinite?: 'reject'
  readonly doc?: string
}

/** What can be known of a model without running it. */
export interface ModelSignature {
  readonly inputs: readonly ValueInfo[]
  readonly outputs: readonly ValueInfo[]
  /** Outputs of the file that are not served; absent where all are. */
  readonly leftOut?: readonly LeftOutput[]
}

/** An output of a model's file that is not served. */
export interface LeftOutput {
  readonly name: string
  /** As in {@link ValueInfo}. */
  readonly declaredType: string
  /** Why, and what helps, as the rest of a sentence. */
  readonly reason: string
}

/**
 * What may be changed in a graph, in memory, after its file was verified: `zipmap` serves the probabilities that go into a ZipMap instead of its
 * dictionaries, `cut-output` takes out an output that onnxruntime-node cannot carry, `ir-version` lowers the version of the format by one, where
 * nothing newer is used.
 */
export type GraphEditName = 'zipmap' | 'cut-output' | 'ir-version'

/** One such change. */
export interface GraphEdit {
  readonly edit: GraphEditName
  /** The output, or `ir_version`. */
  readonly target: string
  /** What was done, as a sentence. */
  readonly detail: string
}

/** Header facts of an ONNX file, read without ONNX Runtime. */
export interface OnnxModelFacts extends ModelSignature {
  readonly irVersion: number
  /** Operator set version by domain; the default domain is `ai.onnx`. */
  readonly opsets: Readonly<Record<string, number>>
  readonly producer: string
  readonly producerVersion: string
  readonly graphName: string
  readonly domain: string
  readonly modelVersion: string
  readonly doc: string
  /** `metadata_props` of the file. */
  readonly metadata: Readonly<Record<string, string>>
  /** Inputs that always have the value the file gives them: onnxruntime-node has no way to send them. */
  readonly presetInputs: readonly string[]
  /** Locations of external data files as the model names them, each once, in order of appearance. */
  readonly externalData: readonly string[]
  readonly nodeCount: number
  readonly initializerCount: number
  /** Bytes of weights inside the file (external data not counted). */
  readonly initializerBytes: number
  /** Operators the graph and its subgraphs use, as `domain:Op` (`ai.onnx:Gemm`), sorted. */
  readonly operators: readonly string[]
}

/** Where a model comes from: a path, a `file:` URL, or the bytes of an `.onnx` file (self-contained, no external data). */
export type ModelSource = string | URL | Uint8Array

/** Execution providers that modelmount can ask ONNX Runtime for. */
export type ExecutionProviderName = 'cpu' | 'cuda' | 'tensorrt' | 'dml' | 'coreml' | 'webgpu'
export type ExecutionProvider = ExecutionProviderName | { readonly name: ExecutionProviderName; readonly deviceId?: number }

/** Where runs happen: in a worker thread, or in a child process that can be killed and cannot take the host down. */
export type Isolation = 'thread' | 'process'

/** ONNX Runtime session options that may be set; anything else is refused. */
export interface SessionOptions {
  /** Threads that one run may use. @default the CPUs for models, shared by the instances (at most) of all models, at least 1 */
  readonly intraOpNumThreads?: number
  /** Threads across independent nodes; only used with `executionMode: 'parallel'`. @default 1 */
  readonly interOpNumThreads?: number
  /** @default 'all' */
  readonly graphOptimizationLevel?: 'disabled' | 'basic' | 'extended' | 'layout' | 'all'
  /** @default 'sequential' */
  readonly executionMode?: 'sequential' | 'parallel'
  /** ONNX Runtime's arena never gives memory back after a large request. @default `enableMemPattern`, or false without it */
  readonly enableCpuMemArena?: boolean
  /** Plans memory by shape. Without the arena it keeps memory for every new size of input. @default `enableCpuMemArena`, or false without it */
  readonly enableMemPattern?: boolean
  /** Let idle threads spin, which burns CPU that the host's event loop needs. @default false */
  readonly allowSpinning?: boolean
  /** Keep weights in the file's layout: less memory per instance, slower runs. @default false */
  readonly disablePrepacking?: boolean
  /** Treat denormal floats as zero. @default false */
  readonly denormalAsZero?: boolean
}

/** How requests may share a run. */
export interface BatchOptions {
  /** Most rows of one run; the measured gain may decide for fewer. @default 64 */
  readonly maxSize?: number
  /** Longest time that a batch may be expected to run, in milliseconds. @default 50 */
  readonly maxRunMs?: number
  /** Longest time that a request waits for others to share its run with, in milliseconds, while an instance is free. @default 0 */
  readonly maxDelayMs?: number
  /** Let requests of different tenants share a run. @default false */
  readonly mixTenants?: boolean
  /** Most elements of all inputs of one run. @default 16777216 (2^24) */
  readonly maxElements?: number
  /**
   * By tensor name, the dimension that counts rows where it is not the first one (recurrent state often has it second), or `'shared'` for an
   * input that all rows of a run have in common (a sampling rate). Requests share a run only when their shared inputs are equal.
   */
  readonly axes?: Readonly<Record<string, number | 'shared'>>
  /**
   * Lets rows of different lengths share a run: shorter ones are filled up, and their answers cut back. Only where the model was proved to
   * answer filled-up rows as it answers them alone. @default none: only rows of equal lengths share a run
   */
  readonly ragged?: RaggedOptions
  /**
   * You answer for it that the model's rows do not influence each other. Without this, a model whose graph has an operator that certainly
   * works across rows is not batched, even if trying it showed no difference; trying it has the last word in any case. @default false
   */
  readonly independentRows?: boolean
}

/** How rows of different lengths (sentences of a transformer) share a run. */
export interface RaggedOptions {
  /**
   * The input that holds 1 where a row has something and 0 where it was filled up. Callers may leave it out: then all of their row counts.
   * It is filled up with 0.
   */
  readonly mask: string
  /**
   * By name of input or output, the dimension that has the length of the row, where the file does not tell by its symbol.
   * @default the dimensions with the same symbol as the mask's own open dimension
   */
  readonly axes?: Readonly<Record<string, number>>
  /** What the other inputs are filled up with: for all, or by name. @default 0 */
  readonly padValue?: number | Readonly<Record<string, number>>
  /** Rows are filled up to the longest of their run, rounded up to a multiple of this, so that there are fewer different shapes. @default 1 */
  readonly multipleOf?: number
  /** Share of a filled-up input that may be padding, from 0.01 to 0.9, before rounding up. Longer and shorter rows than that do not meet. @default 0.25 */
  readonly maxWaste?: number
}

/**
 * Which instance gets the next work: `fastest`, the one that is expected to be done first, by what is posted to it and how fast it was
 * lately; `round-robin`; `least-outstanding`; `response-time`, the lowest recent response time times its line; `two-choices`, the better
 * one of two drawn at random.
 */
export type BalanceStrategy = 'fastest' | 'round-robin' | 'least-outstanding' | 'response-time' | 'two-choices'

/** When instances are added and taken away between `instances.min` and `instances.max`. */
export interface ScalingOptions {
  /** Requests that wait longer than this, for a quarter of a second without a break, call for more instances. @default 20 */
  readonly targetDelayMs?: number
  /** Milliseconds of little load after which one instance goes. @default 60000 */
  readonly idleMs?: number
}

/** Keeping results, so that an equal request is answered without a run. */
export interface CacheOptions {
  /** Most memory that the results of one model version take; the least recently used ones go first. */
  readonly maxBytes: number
  /** Age in milliseconds from which a result is not served any more. @default no limit: a model answers the same for ever */
  readonly ttlMs?: number
  /** A second level that several processes share. */
  readonly store?: CacheStore
}

/**
 * A key-value store outside this process. Its errors and delays never fail a request. Values are sealed, so that nothing but what a process with
 * the same `secret` has put there is believed; they are not encrypted.
 */
export interface CacheStore {
  /** At least 32 bytes, the same in every process that shares results. Another secret finds nothing. */
  readonly secret: Uint8Array
  /** Longest wait for an answer, in milliseconds. @default 50 */
  readonly timeoutMs?: number
  /** @param key `modelmount/<model>/<version>/<hash>`, at most 320 characters */
  get(key: string): Promise<Uint8Array | null | undefined>
  /** @param ttlMs when to forget it; `undefined` for when there is need of room */
  set(key: string, value: Uint8Array, ttlMs: number | undefined): Promise<unknown>
}

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

/**
 * State that a model hands from one request of a sequence to the next. Requests say which sequence they are of (`PredictOptions.sequence`,
 * `sequence_id` over HTTP); the server keeps the state, gives it to the model as one more input, and takes the next one from an output.
 */
export interface SequenceOptions {
  /**
   * By name of the input that takes the state: the output that gives the next one. Requests neither send nor get them.
   * @default {}
   */
  readonly state?: Readonly<Record<string, string | SequenceState>>
  /** By name of an input that requests do not send: what the model is told by it. @default {} */
  readonly controls?: Readonly<Record<string, SequenceControl['is'] | SequenceControl>>
  /** Milliseconds without a request after which a sequence is forgotten. @default 60000 */
  readonly idleTimeoutMs?: number
  /** Sequences that may be open; a further one is refused with `SEQUENCE_LIMIT`, and none is dropped for it. @default 1000 */
  readonly maxSequences?: number
  /** Sequences that one named tenant may have open; more are refused with `QUOTA_EXCEEDED`. @default half of `maxSequences` */
  readonly maxPerTenant?: number
  /** Memory for the state of all sequences, in bytes; more is refused with `SEQUENCE_LIMIT`. @default 268435456 (256 MiB) */
  readonly maxBytes?: number
}

/** One tensor of state. */
export interface SequenceState {
  /** The output that gives the next state. */
  readonly output: string
  /** Requests get that output, too. @default false */
  readonly returned?: boolean
  /** Sizes of the first state; -1 for as many as the request has rows. @default what the graph says */
  readonly dims?: readonly number[]
  /** Of the first state: the value of all elements, or the elements of one row in order. @default 0 */
  readonly initial?: number | readonly number[]
}

/** An input that tells the model where in a sequence it is. */
export interface SequenceControl {
  /** This request begins the sequence; ends it; is one (always so); or the sequence's id. */
  readonly is: 'start' | 'end' | 'ready' | 'id'
  /** What stands for no and for yes; not with `id`. @default [0, 1] */
  readonly values?: readonly [number, number]
}

/** Something in a model's `model.json` or `config.pbtxt` that is not honoured as written, and why. */
export interface ConfigNote {
  readonly file: string
  /** Path of the field, for example `dynamic_batching.preferred_batch_size`. */
  readonly field: string
  readonly reason: string
}

/** A value that JSON can hold. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue }

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

/** Whether and how requests share runs, and why. */
export interface BatchingInfo {
  readonly enabled: boolean
  /** The measured gain, and what has changed since; or what stands against batching. */
  readonly reason: string
  /**
   * Most rows of one run; 1 without batching. Put right while the model serves: when another size is found to do better, and when runs of
   * that many rows would take longer than `maxRunMs` by now.
   */
  readonly maxSize: number
  /** Learned cost of a run: `baseMs + rows * perRowMs`. */
  readonly curve?: { readonly baseMs: number; readonly perRowMs: number }
  /** What one instance can do by that curve, in runs of `maxSize` rows. */
  readonly rowsPerSecond?: number
  /** Whether rows of different lengths share runs, and what stands against it. Set where `batching.ragged` asks for it. */
  readonly padding?: { readonly enabled: boolean; readonly reason: string }
}

/** What a model version has to do, and has done. */
export interface QueueInfo {
  /** Requests that wait, and that a worker has. */
  readonly waiting: number
  readonly running: number
  /** Runs so far, and their rows. */
  readonly batches: number
  readonly rows: number
  /** Elements that were added to fill up shorter rows, over all runs. */
  readonly padding: number
  /** Why runs were sent when they were: full, nothing more waiting, end of `maxDelayMs`, late members dropped, server ending. */
  readonly released: Readonly<Record<'full' | 'idle' | 'window' | 'deadline' | 'drain', number>>
}

/** Requests of a higher priority get a larger share of a busy model: 8 to 3 to 1. */
export type Priority = 'high' | 'normal' | 'low'

/** The results that one model version keeps in this process. */
export interface CacheInfo {
  /** Requests that were answered without a run of their own: from memory, from the store, or by the run of an equal request. */
  readonly hits: number
  /** Runs that requests had to start. */
  readonly misses: number
  readonly entries: number
  readonly bytes: number
}

/** The open sequences of one model version. */
export interface SequencesInfo {
  readonly open: number
  /** Of their state. */
  readonly bytes: number
  /** Requests that wait for earlier ones of their sequence. */
  readonly waiting: number
  readonly idleTimeoutMs: number
  readonly maxSequences: number
  readonly maxBytes: number
}

/** What the instances of a model take in memory: `sharedBytes`, and `perInstanceBytes` for each of them. */
export interface MemoryInfo {
  readonly perInstanceBytes: number
  /** Weights that all of them map from one file, counted once; 0 where each has its own. */
  readonly sharedBytes: number
  /** How `perInstanceBytes` is known: reckoned from the size of the weights, or measured where instances are processes (Linux). */
  readonly basis: 'weights' | 'measured'
}

/** How the instances of a model hold its weights, and why. */
export interface WeightsInfo {
  /** `shared`: mapped from one file. `plain`: each instance has its own copy. */
  readonly form: 'plain' | 'shared'
  readonly reason: string
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

// ---------------------------------------------------------------- predict

export type PredictInputs = Readonly<Record<string, TensorLike>>

export interface PredictOptions {
  /** @default the highest ready version */
  readonly version?: string
  /** The version that this label points at (`versionLabels`), instead of `version`. */
  readonly label?: string
  /** Echoed in the result. @default a random UUID */
  readonly id?: string
  /** Aborting takes the request out of the queue; a run that has started is finished and dropped. */
  readonly signal?: AbortSignal
  /** Milliseconds from now after which the call rejects with `DEADLINE_EXCEEDED`. @default the model's `timeoutMs` */
  readonly timeoutMs?: number
  /** Names of the outputs to compute. @default all */
  readonly outputs?: readonly string[]
  /** `false` keeps this request out of shared runs. @default true */
  readonly batch?: boolean
  /** `false` runs the model even if the result is known, and does not keep the new one. @default true */
  readonly cache?: boolean
  /** Which sequence this is a request of, for models with state (`sequences`); they need it. */
  readonly sequence?: SequencePlace
  /** Share of a busy model. @default 'normal' */
  readonly priority?: Priority
  /**
   * On whose behalf, 1 to 256 characters. Tenants share a busy model evenly, are bounded by `maxQueuePerTenant`, do not share runs unless
   * `batching.mixTenants` allows it, and never see each other's kept results, not even by how fast they come.
   * @default none, which is a tenant of its own
   */
  readonly tenant?: string
}

/** A request's place in a sequence. The requests of one sequence run one by one, in the order in which they were made. */
export interface SequencePlace {
  /** A whole number from 1 to 2^64 - 1, or a text of 1 to 256 characters. Each tenant has ids of its own. */
  readonly id: number | bigint | string
  /** It begins here, with fresh state; one of this id that is open ends. @default false */
  readonly start?: boolean
  /** It ends here; what it has kept is dropped with the answer. @default false */
  readonly end?: boolean
}

export interface PredictResult {
  readonly id: string
  readonly model: string
  readonly version: string
  /** Null-prototype object, output name -> tensor; every tensor owns its buffer. */
  readonly outputs: Readonly<Record<string, Tensor>>
  /** Rows of the run that this request was part of; 1 where requests do not share runs, 0 when `cached`. */
  readonly batchSize: number
  /** True when no run was made for this request: the result was kept, or comes from the run of an equal request. */
  readonly cached: boolean
  /** How old a cached result is, in milliseconds; about 0 when it was awaited together with others. */
  readonly ageMs?: number
  readonly timings: {
    /** Waiting for a free instance; 0 when `cached`. */
    readonly queueMs: number
    /** Inside ONNX Runtime; 0 when `cached`, so that sums are what was computed. */
    readonly inferMs: number
    /** From the call to the result. */
    readonly totalMs: number
  }
}

// ---------------------------------------------------------------- server

/** Things that happen to models, for logs and telemetry. Never contains tensor values. */
export type ServerEvent =
  | {
      readonly type: 'model'
      readonly model: string
      readonly version: string
      readonly state: ModelState
      readonly reason?: string
      /** What it consists of, where that is known; see {@link ModelInfo.manifestId}. */
      readonly manifestId?: string
      /** Set when the version goes on in a newer load: the model leaves, its name and version stay. */
      readonly replaced?: true
    }
  | {
      readonly type: 'provider-fallback'
      readonly model: string
      readonly version: string
      readonly wanted: ExecutionProviderName
      readonly using: ExecutionProviderName
      readonly reason: string
    }
  | {
      readonly type: 'worker-lost'
      readonly model: string
      readonly version: string
      readonly reason: string
      readonly restartInMs: number
    }
  | {
      /**
       * No worker was started, because the model's files are not the ones that were loaded, or must not run any more. This is no crash: the
       * instances that are there go on, and the files are looked at again until they are right. Told once for each reason.
       */
      readonly type: 'start-refused'
      readonly model: string
      readonly version: string
      readonly reason: string
      readonly retryInMs: number
    }
  | {
      /** The load needs more or fewer instances, or one that was to be added could not be loaded. */
      readonly type: 'scaled'
      readonly model: string
      readonly version: string
      /** As many as there should be now. */
      readonly instances: number
      readonly reason: 'queue' | 'idle' | 'failed'
      readonly detail?: string
    }
  | {
      /** A ready model left memory, or came back because it was asked for. */
      readonly type: 'residency'
      readonly model: string
      readonly version: string
      readonly resident: boolean
      readonly reason: 'idle' | 'memory' | 'demand'
    }
  | {
      /** Rows that were run again alone had other answers than together: this version's requests do not share runs any more. */
      readonly type: 'batching'
      readonly model: string
      readonly version: string
      readonly enabled: false
      readonly reason: string
    }
  | {
      /** The graph can end the process that runs it, so that the model runs in one of its own although nothing was said of `isolation`. */
      readonly type: 'isolation'
      readonly model: string
      readonly version: string
      readonly isolation: 'process'
      /** The operator and its node. */
      readonly reason: string
    }
  | { readonly type: 'worker-ready'; readonly model: string; readonly version: string; readonly loadMs: number }
  | {
      readonly type: 'breaker'
      readonly model: string
      readonly version: string
      readonly state: 'open' | 'closed'
      readonly crashes: number
    }
  | { readonly type: 'worker-output'; readonly model: string; readonly version: string; readonly line: string }
  | {
      /** It was decided how the instances hold their weights; only where sharing was tried. */
      readonly type: 'weights'
      readonly model: string
      readonly version: string
      readonly form: WeightsInfo['form']
      readonly reason: string
      /** True when sharing went wrong, and not only did not pay. */
      readonly failed: boolean
    }
  | {
      /** Made-up inputs could not be tried: its child crashed, hung or took too much memory. The model is served, and its requests run alone. */
      readonly type: 'untried'
      readonly model: string
      readonly version: string
      readonly reason: string
    }
  | {
      /** Where a model comes from was asked: somebody trusted has signed it, nobody has and it runs all the same, or it must not run. */
      readonly type: 'integrity'
      readonly model: string
      readonly version: string
      readonly outcome: 'verified' | 'unverified' | 'refused'
      readonly manifestId?: string
      readonly signer?: string
      /** What is wrong with its signature or its files. */
      readonly reason?: string
      /** Refused, because it is on the list of those that must never run again. */
      readonly revoked?: true
    }
  | { readonly type: 'warning'; readonly message: string }

/**
 * `console` and its like; pino, which also gets the event as an object: `{ event, model, version, … }`; or Nest's `LoggerService`, whose word
 * for `info` is `log`. One of the two must be there.
 */
export interface Logger {
  info?(message: string): void
  log?(message: string): void
  warn(message: string): void
  error(message: string): void
}

export interface ModelServerOptions extends ModelSettings {
  /** Models to load. */
  readonly models?: readonly ModelSpec[]
  /** Directory with `<name>/<version>/model.onnx`, `<name>/model.onnx` or `<name>.onnx`. */
  readonly repository?: string
  /** Which versions of every repository model to load. @default what the model's own files say; all where they say nothing */
  readonly versionPolicy?: VersionPolicy
  /** Reject `createModelServer()` when a model fails to load, instead of reporting it as not ready. @default false */
  readonly strict?: boolean
  /**
   * Memory for the instances of all models together. A load that would go beyond it first unloads idle models, the least recently used
   * first; a model that is larger than all of it fails to load.
   * @default no bound
   */
  readonly memory?: { readonly budgetBytes: number }
  /** Whose signatures make which models run. @default nobody is asked for */
  readonly trust?: TrustOptions
  /**
   * What happens to a model that nobody trusted has signed: `require` refuses it, `warn` tells of it, `off` does not look.
   * @default 'require' with `trust`, 'off' without
   */
  readonly verification?: Verification
  /**
   * Look through every model's file before ONNX Runtime gets it, for what no honest model has: data from files elsewhere, sizes that
   * do not go together, vendors' binaries. `off` only where something else has done that; never read from a model's own settings.
   * @default 'on'
   */
  readonly scan?: 'on' | 'off'
  /** Path of a `models.lock.json` (`modelmount lock`): only what is in it runs, byte for byte. */
  readonly lock?: string
  /**
   * Where models that are verified or locked are copied to and loaded from; given without `trust` and `lock`, all models are.
   * @default used with `trust` or `lock`, in the user's cache folder
   */
  readonly store?: StoreOptions
  /** For models that are encrypted at rest (`model.onnx.enc`). They are decrypted in memory and never written anywhere. */
  readonly encryption?: EncryptionOptions
  /** Largest HTTP request body in bytes. @default 67108864 (64 MiB) */
  readonly maxBodyBytes?: number
  /**
   * Most bytes of JSON, or of CSV, in a request body, and most bytes of text in all strings of a request; more get 413. Numbers that follow as
   * binary data do not count. Bodies above 16 KiB are read in a thread beside the event loop.
   * @default 16777216 (16 MiB)
   */
  readonly maxJsonBytes?: number
  /**
   * Bytes of all HTTP request bodies together, received and unpacked, from their arrival to the answer. Requests beyond get 503 `OVERLOADED` with
   * `Retry-After` before more of them is read. At least four times `maxBodyBytes`.
   * @default 268435456 (256 MiB), or four times `maxBodyBytes`
   */
  readonly maxInflightBytes?: number
  /** Longest time that receiving one HTTP request body may take, in milliseconds; slower ones get 408. @default 60000 */
  readonly bodyTimeoutMs?: number
  /**
   * Folder for what is derived from models (`shareWeights`); made if need be. It must belong to this user and not be writable for others.
   * May be shared by servers of one machine, and deleted at any time.
   * @default `modelmount` in the user's cache folder, or `modelmount-<uid>` in the one for temporary files
   */
  readonly cacheDirectory?: string
  /** Name in the server metadata. @default 'modelmount' */
  readonly name?: string
  /** Where warnings and errors go; `false` for nowhere. @default console, warnings and errors only */
  readonly logger?: Logger | false
  /** Metrics and traces: `otelTelemetry()` of `modelmount/telemetry`, or your own. @default none */
  readonly telemetry?: Telemetry
}

/** All versions, the n highest, or the ones named. */
export type VersionPolicy = 'all' | { readonly latest: number } | { readonly specific: readonly string[] }

export interface LoadOptions {
  /**
   * Where the bytes of models are known (`ModelInfo.manifestId`), a name and version stands for the same ones for as long as it is loaded:
   * others are refused with `MODEL_CONFLICT`, unless this is `true`.
   * @default false
   */
  readonly replace?: boolean
}

export interface ServerHealth {
  /** True until `close()`. */
  readonly live: boolean
  /** True when every model has a ready version that takes requests. */
  readonly ready: boolean
  readonly models: readonly {
    readonly name: string
    readonly version: string
    readonly state: ModelState
    /** Why it failed; of a version that is `ready`, why it takes no requests now. */
    readonly reason?: string
    /** Why a newer load of this version, or of its name, failed, while this one goes on serving. */
    readonly reloadFailed?: string
  }[]
}

export interface ModelServer extends AsyncDisposable {
  readonly name: string
  /**
   * Runs a model.
   * @param model name of a loaded model
   * @param inputs one value per model input; see {@link TensorLike}
   * @throws ModelmountError `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`, `MODEL_NOT_READY`, `MODEL_UNAVAILABLE`, `INPUT_INVALID`, `INPUT_REJECTED`,
   *   `OUTPUT_NOT_FOUND`, `QUEUE_FULL`, `QUOTA_EXCEEDED`, `OVERLOADED`, `DEADLINE_EXCEEDED`, `ABORTED`, `WORKER_LOST`, `INFERENCE_FAILED`,
   *   `OPTIONS_INVALID`, `SERVER_CLOSED`; with sequences also `SEQUENCE_REQUIRED`, `SEQUENCE_NOT_FOUND`, `SEQUENCE_LIMIT`. Never throws synchronously.
   */
  predict<Name extends string, Outputs extends OutputsOf<Name> = OutputsOf<Name>>(
    model: Name,
    inputs: InputsOf<Name>,
    opts?: PredictOptionsFor<Outputs>,
  ): Promise<PredictResultFor<Name, Outputs>>
  /**
   * Loads a version and makes it ready. An existing version of that name keeps serving until the new one is ready, then drains:
   * no request fails. When the new one fails to load, the old one stays.
   * @throws ModelmountError `OPTIONS_INVALID`, `MODEL_UNTRUSTED`, `MODEL_CONFLICT`, `MODEL_INVALID`, `MODEL_UNSUPPORTED`,
   *   `MODEL_LOAD_FAILED`, `SERVER_CLOSED`
   */
  load(spec: ModelSpec, opts?: LoadOptions): Promise<ModelInfo>
  /** Drains and drops one version, or all versions of a model. Resolves when the memory is given back. */
  unload(model: string, version?: string): Promise<void>
  /**
   * Points a label of a model at one of its versions (`versionLabels`), for every request from here on; `undefined` takes the label away.
   * @throws ModelmountError `OPTIONS_INVALID`, `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`, `MODEL_NOT_READY`: a label never moves to what cannot
   *   answer
   */
  setVersionLabel(model: string, label: string, version: string | undefined): void
  /**
   * Drops kept results: of one version, of all versions of a model, or of all models. What a shared store holds is not served any more by
   * this process; it leaves the store by its age, or when you delete its keys.
   * @returns how many results were dropped
   * @throws ModelmountError `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`
   */
  purge(model?: string, version?: string): number
  /** @throws ModelmountError `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND` */
  model(name: string, version?: string): ModelInfo
  /** Every version the server knows, failed ones included. */
  models(): readonly ModelInfo[]
  health(): ServerHealth
  /**
   * Calls `listener` for every event until the returned function is called: in a microtask, when what has happened is complete, and before whoever
   * awaits it goes on. It may close the server, unload models or load them. A listener that throws is ignored. Text of events has no control
   * characters, whatever it quotes.
   */
  subscribe(listener: (event: ServerEvent) => void): () => void
  /**
   * An OpenAPI 3.1 document of the models that take requests now, with their own tensors and examples; see `mergeOpenApi()`.
   * @throws ModelmountError `OPTIONS_INVALID`
   */
  openapi(options?: OpenApiOptions): OpenApiDocument
  /** The HTTP surface, without a framework; adapters carry it. */
  readonly http: HttpSurface
  /** Refuses new requests, finishes the accepted ones, then frees every worker. @param opts.timeoutMs give up waiting after this. @default 30000 */
  close(opts?: { readonly timeoutMs?: number }): Promise<void>
}

// ---------------------------------------------------------------- HTTP without a framework

/** On whose behalf a request comes, as a mount's `identify` says. More members may follow; unknown ones are passed over. */
export interface Identity {
  /**
   * A text of 1 to 256 characters: whose sequences, kept results, share of a busy model and quota the request has; see `PredictOptions.tenant`.
   * @default none, which is a tenant of its own
   */
  readonly tenant?: string | undefined
}

/**
 * Says on whose behalf a request comes. Asked before the body is read, by requests that run a model and by no others.
 * @param request the framework's own
 * @throws anything, which refuses the request: an error with the status 401 or 403 (`status`, `statusCode` or `getStatus()`) with that status,
 *   `UNAUTHENTICATED` or `FORBIDDEN`; every other one, and a result that is no identity, with 500 `IDENTITY_FAILED`
 */
export type Identify<Request> = (request: Request) => Identity | PromiseLike<Identity>

/** A request as every adapter can describe it. */
export interface HttpRequest {
  readonly method: string
  /** Path below the mount point, still percent-encoded, without query, starting with `/`. */
  readonly path: string
  /** Lower-case names, as `node:http` gives them. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** The raw bytes, or what an app-level body parser already made of them. `undefined` when there is no body. */
  readonly body?: unknown
  /** What follows `body`, which is bytes then: large pieces that the adapter has not joined, because tensors are copied out of them anyway. */
  readonly rest?: readonly Uint8Array[]
  /** Buffers of `body` and `rest` that nobody else has, nor will: they may be freed once tensors have been copied out of them. @default none */
  readonly given?: readonly ArrayBufferLike[] | undefined
  /** Fires when the client goes away. */
  readonly signal?: AbortSignalLike
  /**
   * The same for all requests of one connection, and no other: where requests have no tenant, one whose values fail is told from others by it.
   * @default none
   */
  readonly connection?: symbol
  /**
   * What the adapter has counted its bytes in; the adapter releases it when the request is over.
   * @default counted from here until the answer is there
   */
  readonly held?: HeldBytes | undefined
  /** On whose behalf it comes. @default none */
  readonly identity?: Identity | undefined
  /** The adapter writes `rest` of an answer, too. @default false: an answer is `body`, whole */
  readonly acceptsRest?: boolean
}

/** Bytes that a server holds for one request, within its `maxInflightBytes`. */
export interface HeldBytes {
  /** True when so many more may be held now. */
  fits(bytes: number): boolean
  /** Counts bytes that are held from now on; false, and nothing counted, when they are too many, or after `release()`. */
  add(bytes: number): boolean
  /** Gives all of it back. May be called again, which changes nothing. */
  release(): void
}

/** What is used of an `AbortSignal`. An adapter may bring something lighter: making a real one costs as much as reading a small request. */
export interface AbortSignalLike {
  readonly aborted: boolean
  readonly reason: unknown
  addEventListener(type: 'abort', listener: () => void): void
  removeEventListener(type: 'abort', listener: () => void): void
}

export interface HttpResponse {
  readonly status: number
  /** Lower-case names; `content-length` is among them wherever an answer may have it, also for HEAD, whose body is empty. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /**
   * What follows `body`, in this order, and counts for `content-length`: large tensors, because joining them costs as much as running a small
   * model. Only in answers to requests with `acceptsRest`.
   */
  readonly rest?: readonly Uint8Array[]
  /**
   * Frees the memory of `rest`. For whoever can tell when the answer has left and nobody looks at it any more; without it the memory is freed
   * by the next garbage collections.
   */
  discard?(): void
}

/** A request format with its own routes and its own shape of errors. */
export type HttpDialect = 'open-inference' | 'tf-serving' | 'mlflow'

/** What one mount of a server answers. */
export interface MountOptions {
  /**
   * `open-inference` answers below `/v2`, `tf-serving` below `/v1/models`, `mlflow` at `/invocations`, `/ping`, `/health` and `/version`.
   * @default ['open-inference']
   */
  readonly dialects?: readonly HttpDialect[]
  /**
   * Let clients load and unload models (`/v2/repository/…`). Whoever reaches such a mount decides what is served.
   * @default false
   */
  readonly management?: boolean
  /**
   * Let clients say by the parameter `priority` how urgent a request is. A request of high priority may take the place of waiting ones. The
   * parameter is passed over otherwise, as Triton does for models without priority levels.
   * @default false
   */
  readonly allowPriority?: boolean
  /**
   * Tell clients by the header `Server-Timing` how long a request waited and ran.
   * @default false: it tells them how loaded the server is, too
   */
  readonly serverTiming?: boolean
  /** Answer `/metrics` for Prometheus: a route of the mount like the others, open to whom they are open to. @default false */
  readonly metrics?: boolean
  /** Answer `/openapi.json`. @default true */
  readonly openapi?: boolean
  /** What the one-model routes of `mlflow` serve. @default the only model of the server, in its default version */
  readonly mlflow?: { readonly model: string; readonly version?: string }
}

/** What a mount answers, in OpenAPI 3.1. */
export interface OpenApiDocument {
  readonly openapi: '3.1.0'
  readonly info: { readonly title: string; readonly version: string }
  readonly servers?: readonly { readonly url: string }[]
  readonly tags: readonly { readonly name: string; readonly description: string }[]
  readonly paths: Readonly<Record<string, { readonly [method: string]: JsonValue }>>
  readonly components: { readonly schemas: { readonly [name: string]: JsonValue } }
}

/** Which mount to describe, and how. */
export interface OpenApiOptions extends MountOptions {
  /** Where the app mounts it, `/ml` for example; stands in front of every path. @default none: paths below the document's own address */
  readonly prefix?: string
  /** @default the server's `name` */
  readonly title?: string
  /** Of your API. @default the version of modelmount */
  readonly version?: string
}

/** One mount of a server, as adapters carry it. */
export interface HttpHandler {
  readonly maxBodyBytes: number
  readonly bodyTimeoutMs: number
  /** Counts the bytes of one request while they arrive. What does not fit is refused with `OVERLOADED` before more of it is read. */
  hold(): HeldBytes
  /** Answers a request; never rejects. A path that is not ours gets a 404. */
  handle(request: HttpRequest): Promise<HttpResponse>
  /** True for the paths that this mount answers, be it with a 404; an adapter leaves all others to the app. */
  owns(path: string): boolean
  /**
   * The answer for an error that happened before the core saw the request (a body over the limit, for example).
   * @param path decides whose shape of errors it gets. @default the Open Inference Protocol's
   * @param headers of the request, whose `x-request-id` the answer and the log then have
   */
  error(error: unknown, path?: string, headers?: HttpRequest['headers']): HttpResponse
  /** True for requests that run a model: those that need an identity where there are any. */
  runsModel(method: string, path: string): boolean
}

/** The default mount, and the way to others. */
export interface HttpSurface extends HttpHandler {
  /**
   * Another mount of the same server: other dialects, other extensions.
   * @throws ModelmountError `OPTIONS_INVALID`
   */
  mount(options?: MountOptions): HttpHandler
}

/** The server, its options and its health. Defaults are documented here and live in options.ts. */

import type { EncryptionOptions } from '../crypto/types.ts'
import type { Logger } from '../host/logger.ts'
import type { HttpSurface } from '../http/types.ts'
import type { StoreOptions, TrustOptions, Verification } from '../integrity/types.ts'
import type { ServerEvent } from '../model/events.ts'
import type { LoadOptions, ModelInfo, ModelSettings, ModelSpec, ModelState } from '../model/types.ts'
import type { OpenApiDocument, OpenApiOptions } from '../openapi/types.ts'
import type { InputsOf, OutputsOf, PredictOptionsFor, PredictResultFor } from '../predict/typed.ts'
import type { VersionPolicy } from '../registry/types.ts'
import type { Telemetry } from '../telemetry.ts'

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

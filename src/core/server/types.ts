/** The server and its health. */

import type { HttpSurface } from '../http/types.ts'
import type { ServerEvent } from '../model/events.ts'
import type { LoadOptions, ModelInfo, ModelSpec, ModelState } from '../model/types.ts'
import type { OpenApiDocument, OpenApiOptions } from '../openapi/types.ts'
import type { InputsOf, OutputsOf, PredictOptionsFor, PredictResultFor } from '../predict/typed.ts'

export type { ModelServerOptions } from '../options/server.ts'

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
   * Drops kept results: of one version, of all versions of a model, or of all models. This process serves no result of a shared
   * store any more that was kept before; such results leave the store by their age, or when you delete their keys.
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
   * Calls `listener` for every event until the returned function is called. The call is made in a microtask: after the change is complete, and
   * before code that awaits the change goes on. The listener may close the server, unload models or load them. A listener that throws is ignored. Text of events has no control
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

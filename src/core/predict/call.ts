/** One request on its way, in one shape from the front door to the queue; what answers it; and one answer on the way back. */

import type { ModelmountError } from '../errors.ts'
import type { AbortSignalLike } from '../host/abort.ts'
import type { HttpRequest, HttpResponse, Identity } from '../http/types.ts'
import type { ModelInfo, ModelState } from '../model/types.ts'
import type { Priority } from '../scheduler/types.ts'
import type { SequencePlace } from '../sequences/types.ts'
import type { Trace } from '../telemetry.ts'
import type { ModelSignature, Tensor } from '../tensor/types.ts'
import type { PredictInputs } from './types.ts'

/** On whose behalf a request comes. */
export type Principal = Identity

/** Name of an input or output -> tensor. */
export type Tensors = Readonly<Record<string, Tensor>>

/** How a caller wants one run. Known from the start for `predict()`, and from the place `decode` on for a body. */
export interface Terms {
  /** The caller's own; a made-up one where there is none. */
  readonly id?: string | undefined
  /** Milliseconds from {@link Call.at} on. @default the servable's */
  readonly timeoutMs?: number | undefined
  /** Names of the outputs to compute. @default all */
  readonly outputs?: readonly string[] | undefined
  /** `false` keeps the request out of shared runs. @default true */
  readonly batch?: boolean | undefined
  /** `false` neither asks nor fills the cache. @default true */
  readonly cache?: boolean | undefined
  /** @default the servable's */
  readonly priority?: Priority | undefined
  readonly sequence?: SequencePlace | undefined
}

/**
 * One prediction. Its members without `readonly` are filled in by the places that own them, outermost first; a stage reads them in its own
 * place or further in.
 */
export interface Call {
  /** The name that was asked for. */
  readonly model: string
  /** The version that was asked for, by number or by a label. */
  readonly version: string | undefined
  readonly label: string | undefined
  /** When the request came, in milliseconds on the server's clock. */
  readonly at: number
  /** Fires when the caller goes away. */
  readonly signal: AbortSignalLike | undefined
  /** The same for all requests of one connection; `undefined` for `predict()`. */
  readonly connection: symbol | undefined
  /** Of a request over HTTP: its headers, and its body as it came. `undefined` for `predict()`. */
  readonly request: HttpRequest | undefined
  /** `identify`: on whose behalf. */
  principal: Principal | undefined
  /** `open`: a body that took the place of the request's own, or `undefined` where that one holds. */
  body: Uint8Array | undefined
  /** `decode`: the inputs as they were sent, and how they want to run. */
  terms: Terms
  /**
   * `decode` sets it and `check` makes it tensors of the server's own, which `run` takes for itself: the memory may be gone or written over when
   * the answer is there. A stage that wants the inputs afterwards copies them before.
   */
  inputs: PredictInputs | undefined
  /** `route`: what answers. */
  servable: Servable | undefined
  /** `check`: names of the outputs to compute, never empty. */
  fetches: readonly string[]
  /** `observe`: how telemetry knows the request again. */
  trace: Trace | undefined
}

/** One run of ONNX Runtime, or of whatever answers; shared by the answers of all requests that were in it. */
export interface RunFacts {
  /** Counts up over the life of the servable. */
  readonly batchId: number
  readonly runMs: number
  readonly tier: 'thread' | 'process' | 'elsewhere'
}

export interface Answer {
  /** Null-prototype object, output name -> tensor. The tensors are the caller's own. */
  readonly outputs: Tensors
  /** Waiting for a free instance; 0 without a run. */
  readonly queueMs: number
  /** Inside the run; 0 without one. */
  readonly inferMs: number
  /** Rows of the run; 1 where requests do not share runs, 0 without one. */
  readonly batchSize: number
  /** On the server's clock. */
  readonly endedAt: number
  /** Set where no run was made for this request: milliseconds since the result was computed. */
  readonly ageMs?: number | undefined
  /** The run that it comes from; `undefined` where none was made for it. */
  readonly run?: RunFacts | undefined
  /** Further outputs as they come, for what answers more than once; `outputs` are the first then. */
  readonly stream?: AsyncIterable<Tensors> | undefined
  /** From `decode` outwards, for a request over HTTP: the answer as it is sent. */
  readonly response?: HttpResponse | undefined
}

/** Answers a call. Whatever it rejects with that is no `ModelmountError` is a defect and answers 500. */
export type Predict = (call: Call) => Promise<Answer>

export type ServableKind = 'model' | 'remote' | 'cascade' | 'pipeline' | 'generator'

/** Whatever answers under a name and a version: a local model, a remote backend, a cascade, a pipeline, a generator. */
export interface Servable {
  readonly name: string
  readonly version: string
  readonly kind: ServableKind
  /** Requests get to it while it is `ready`. */
  readonly state: ModelState
  /** Why the state is `failed`. */
  readonly reason?: ModelmountError | undefined
  /** True when a request would be taken: ready, and not refused for now. */
  readonly available: boolean
  /** What requests see: inputs are checked against it before `run`. Valid once the state has been `ready`. */
  readonly signature: ModelSignature
  /** What lists, metadata and the OpenAPI document say of it. Where `isDefault` and labels are concerned, the server knows better. */
  info(): ServableInfo
  /** Answers a call whose `inputs` are checked tensors that belong to it from here on, and whose `fetches` are names of its outputs. */
  run(call: Call): Promise<Answer>
  /** Takes no more calls, answers the accepted ones, and resolves when it holds nothing any more. */
  drain(): Promise<void>
}

/** What a servable tells of itself; all that it leaves out has a plain default. */
export type ServableInfo = Partial<ModelInfo>

/** One request on its way, in one shape from the front door to the queue; the servable that answers it; and one answer on the way back. */

import type { RunFacts } from '../engine/run.ts'
import type { ModelmountError } from '../errors.ts'
import type { AbortSignalLike } from '../host/abort.ts'
import type { HttpRequest, HttpResponse, Identity } from '../http/types.ts'
import type { ModelInfo, ModelState } from '../model/types.ts'
import type { Priority } from '../scheduler/types.ts'
import type { SequencePlace } from '../sequences/types.ts'
import type { Trace } from '../telemetry/index.ts'
import type { ModelSignature, Tensor } from '../tensor/types.ts'
import type { PredictInputs } from './types.ts'

/** On whose behalf a request comes. */
export type Principal = Identity

/** Name of an input or output -> tensor. */
export type Tensors = Readonly<Record<string, Tensor>>

/**
 * One prediction as it arrives. A stage that changes the request passes `{ ...call, … }` on. It is a {@link RoutedCall} from the place `authorize`
 * on, and a {@link CheckedCall} from the place `cache` on.
 */
export interface Call {
  /** The name that was asked for. */
  readonly model: string
  /** The version that was asked for, by number or by a label. */
  readonly version: string | undefined
  readonly label: string | undefined
  /** The caller's own. From here on the terms of a request over HTTP are known from the place `decode` on. */
  readonly id: string | undefined
  /** Names of the outputs to compute. `undefined` for all. */
  readonly outputs: readonly string[] | undefined
  /** False keeps the request out of shared runs. */
  readonly shareable: boolean
  /** False neither asks nor fills the cache. */
  readonly cacheable: boolean
  /** True gives the memory of {@link Call.inputs} away where that saves a copy; no matter for inputs that were decoded here. */
  readonly transfer: boolean
  /** `undefined` for the servable's own. */
  readonly priority: Priority | undefined
  readonly sequence: SequencePlace | undefined
  /** Milliseconds from {@link Call.at} on. `undefined` for the servable's own. */
  readonly timeoutMs: number | undefined
  /** When the request came, in milliseconds on the server's clock; from the place `decode` on, when its body was read. */
  readonly at: number
  /** Fires when the caller goes away. */
  readonly signal: AbortSignalLike | undefined
  /** The same for all requests of one connection; `undefined` for `predict()`. */
  readonly connection: symbol | undefined
  /** On whose behalf. `undefined` for `predict()`, which the application itself calls, and for requests that say nothing. */
  readonly principal: Principal | undefined
  /** Whose share of a busy servable, quota, sequences and kept results it has. */
  readonly tenant: string | undefined
  /** Of a request over HTTP. A stage in the place `open` passes one with another body on. `undefined` for `predict()`. */
  readonly request: HttpRequest | undefined
  /** How the body is read and the answer is written. `undefined` for `predict()`. */
  readonly codec: Codec | undefined
  /** Inputs that are known to fit the signature of one servable, and belong to the server: `check` looks at all others. */
  readonly decoded: Decoded | undefined
  /** As they were sent. Empty where there still is a body. */
  readonly inputs: PredictInputs
  /** The servable that a stage has chosen in front of the route, which keeps it. */
  readonly servable: Servable | undefined
  /** The same object in all copies of a call. */
  readonly account: Account
}

/** From the route on. */
export interface RoutedCall extends Call {
  /** Answers it. */
  readonly servable: Servable
}

/** From the check on. */
export interface CheckedCall extends RoutedCall {
  /**
   * Tensors of the server's own, which `run` takes for itself: their memory may be gone or written over when the answer is there. A stage that
   * wants them afterwards copies them before.
   */
  readonly inputs: Tensors
  /** Names of the outputs to compute. */
  readonly fetches: readonly string[]
  /** How telemetry knows the request again. `undefined` without telemetry. */
  readonly trace: Trace | undefined
}

/** Tells the stages further out how far a call has come. */
export interface Account {
  progress: Progress
}

/** Of the checked call, where the check has let it pass. */
export type Progress = Unchecked | Pick<CheckedCall, 'servable' | 'at' | 'trace'>

export interface Unchecked {
  readonly servable: undefined
  readonly trace: Trace | undefined
}

export interface Decoded {
  readonly inputs: Tensors
  readonly of: Servable
  /** The call whose body it was. */
  readonly by: Call
}

/** How a dialect reads a body, and writes the answer into {@link Answer.response}. */
export interface Codec {
  /** @param next gets a call with inputs */
  through(call: Call, next: Predict): Promise<Answer>
}

export interface Answer {
  /** Object without inherited names, output name -> tensor. The tensors are the caller's own. */
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
  /** The run that it comes from, of a request in several runs the last one; `undefined` where none was made for it. */
  readonly run?: RunFacts | undefined
  /** Further outputs as they come, for what answers more than once; `outputs` are the first then. */
  readonly stream?: AsyncIterable<Tensors> | undefined
  /** From `decode` outwards, for a request over HTTP: the answer as it is sent. */
  readonly response?: HttpResponse | undefined
}

/** Answers a call. Whatever it rejects with that is no `ModelmountError` is a defect and answers 500. */
export type Predict<C extends Call = Call> = (call: C) => Promise<Answer>

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
  /** Inputs are checked against it before `run`. Valid once the state has been `ready`. */
  readonly signature: ModelSignature
  /** For lists, metadata and the OpenAPI document. The server adds the state, labels and `isDefault`. */
  info(): ServableInfo
  /** Answers a call whose `inputs` belong to it from here on, and whose `fetches` are names of its outputs. */
  run(call: CheckedCall): Promise<Answer>
  /** Takes no more calls, answers the accepted ones, and resolves when it holds nothing any more. */
  drain(): Promise<void>
}

/** Facts about a servable; all that it leaves out has a plain default. */
export type ServableInfo = Partial<ModelInfo>

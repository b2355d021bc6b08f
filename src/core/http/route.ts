/** Routes, and the facts of the server that they answer with. */

import type { Decode } from '../decoding/index.ts'
import type { ModelmountError } from '../errors.ts'
import type { ModelInfo } from '../model/types.ts'
import type { OpenApiDocument } from '../openapi/types.ts'
import type { Answer, Predict, Call as PredictCall } from '../predict/call.ts'
import type { ExtensionRoute } from '../predict/extension.ts'
import type { Action, Demand } from '../predict/guard.ts'
import type { Ledger } from '../predict/ledger.ts'
import type { Served } from '../predict/served.ts'
import type { RepositoryControl } from '../registry/control.ts'
import type { ServerHealth } from '../server/types.ts'
import type { Telemetry } from '../telemetry/index.ts'
import type { InFlight } from './inflight.ts'
import type { HttpDialect, MountConfig } from './options.ts'
import type { ServerTiming } from './server-timing.ts'
import type { HttpRequest, HttpResponse } from './types.ts'

/** Lent by the server to its routes. */
export interface HttpDeps {
  readonly serverName: string
  readonly maxBodyBytes: number
  /** Of JSON, or other text, in a body. */
  readonly maxJsonBytes: number
  readonly bodyTimeoutMs: number
  readonly inFlight: InFlight
  readonly decode: Decode
  /** Milliseconds, on the server's clock. */
  now(): number
  health(): ServerHealth
  /** @throws ModelmountError `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`, `MODEL_NOT_READY`, `SERVER_CLOSED` */
  resolve(name: string, version: string | undefined): Served
  /** Versions of a model that are ready. */
  versions(name: string): readonly string[]
  modelNames(): readonly string[]
  /**
   * Models in whatever state: all, those of a name, or one version.
   * @throws ModelmountError `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`
   */
  known(name?: string, version?: string): readonly Served[]
  /**
   * The version that a label of a model points at.
   * @throws ModelmountError `MODEL_NOT_FOUND`, `LABEL_NOT_FOUND`, `VERSION_NOT_FOUND`
   */
  labelled(name: string, label: string): string
  readonly control: RepositoryControl
  info(model: Served): ModelInfo
  /** The OpenAPI document of a mount. */
  openapi(mount: MountConfig): OpenApiDocument
  /** The way of every prediction. */
  readonly predict: Predict
  readonly ledger: Ledger
  /** The servable that a call names. @throws ModelmountError as `resolve`, and `LABEL_NOT_FOUND` */
  target(call: PredictCall): Served
  /** Asks the guards; `undefined` where there are none. */
  readonly ask: ((demand: Demand) => void) | undefined
  /** Routes of extensions. */
  readonly routes: readonly ExtensionRoute[]
  /** The metrics as text; `undefined` where the server's telemetry keeps none. */
  readonly metricsText: Telemetry['metricsText']
  /** A defect of our own, for the log: the response says nothing of it. */
  report(error: ModelmountError, requestId?: string): void
}

/** The mount that routes are made for. */
export interface MountContext {
  readonly config: MountConfig
  /** Notes what a run took, for mounts that say so. */
  readonly timing?: ServerTiming | undefined
  /** Names of the protocol extensions that this mount answers, from all its tables. */
  extensions(): readonly string[]
}

/** A request that has found its route. */
export interface Call {
  readonly request: HttpRequest
  /** Named groups of the route's pattern, percent-decoded. */
  readonly params: Readonly<Record<string, string | undefined>>
}

/** A route that runs a model answers with what the way of a prediction gives. */
export type Handler = (call: Call) => HttpResponse | Promise<HttpResponse | Answer>

export interface Route {
  /** GET answers HEAD too. */
  readonly method: 'GET' | 'POST'
  /** An exact path, which goes before every pattern; or a pattern whose named groups are single segments. */
  readonly path: string | RegExp
  /** The action that guards are asked for. */
  readonly action: Action
  readonly handle: Handler
  /** Runs a model. @default false */
  readonly runsModel?: boolean
  /** Is for operators alone, and refuses what pages of other sites send. @default false */
  readonly isManagement?: boolean
}

/** The routes of one dialect or extension. */
export interface RouteTable {
  /** True for the paths that are this table's, routed or not: no other handler of the app may answer them. */
  owns(path: string): boolean
  readonly routes: readonly Route[]
  /** The body of a failed call. @default the Open Inference Protocol's `{ error, code, details? }` */
  encodeError?(error: ModelmountError): Uint8Array
  /** Paths that no dialect has, for frameworks that want to know them in advance. */
  readonly roots?: readonly string[]
  /** Listed by the server metadata, which lists working features alone. */
  readonly extensions?: readonly string[]
}

/** Makes the table for one mount; `undefined` where the mount does not want it. */
export type TableMaker = (deps: HttpDeps, mount: MountContext) => RouteTable | undefined

/** Whether a mount answers the routes of a dialect. */
export const shows = ({ show, dialects }: Pick<MountConfig, 'show' | 'dialects'>, dialect: HttpDialect): boolean =>
  show.includes('inference') && dialects.includes(dialect)

const encoder = new TextEncoder()

/** An answer in JSON; bytes are JSON already. */
export function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): HttpResponse {
  const bytes = body instanceof Uint8Array ? body : encoder.encode(JSON.stringify(body))
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: bytes }
}

/** An answer whose JSON was written already, in one piece or several. */
export function written([body = NOTHING, ...rest]: readonly Uint8Array[], contentType = 'application/json'): HttpResponse {
  if (rest.length === 0) return whole(body, contentType)
  return { status: 200, headers: { 'content-type': contentType }, body, rest }
}

/** An answer in one piece. */
export const whole = (body: Uint8Array, contentType = 'application/json'): HttpResponse => ({
  status: 200,
  headers: { 'content-type': contentType },
  body,
})

const NOTHING = new Uint8Array()

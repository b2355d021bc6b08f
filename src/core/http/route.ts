/** The routes of a mount, and the facts of the server that they answer with. */

import type { Decode } from '../decoding/index.ts'
import type { Backend, Route } from '../dialects/index.ts'
import type { ModelmountError } from '../errors.ts'
import type { OpenApiDocument } from '../openapi/types.ts'
import type { Call } from '../predict/call.ts'
import type { ExtensionRoute } from '../predict/extension.ts'
import type { Demand } from '../predict/guard.ts'
import type { Ledger } from '../predict/ledger.ts'
import type { Pipeline } from '../predict/pipeline.ts'
import type { Served } from '../predict/served.ts'
import type { Telemetry } from '../telemetry/index.ts'
import type { InFlight } from './inflight.ts'
import type { MountConfig } from './options.ts'

/** Lent by the server to its routes. */
export interface HttpDeps extends Backend {
  readonly maxBodyBytes: number
  /** Of JSON, or other text, in a body. */
  readonly maxJsonBytes: number
  readonly bodyTimeoutMs: number
  readonly inFlight: InFlight
  readonly decode: Decode
  /** Milliseconds, on the server's clock. */
  now(): number
  /** The OpenAPI document of a mount. */
  openapi(mount: MountConfig): OpenApiDocument
  /** The way of every prediction. */
  readonly pipeline: Pipeline
  readonly ledger: Ledger
  /** The servable that a call names. @throws ModelmountError as `resolve`, and `LABEL_NOT_FOUND` */
  target(call: Call): Served
  /** Asks the guards; `undefined` where there are none. */
  readonly ask: ((demand: Demand) => void | Promise<void>) | undefined
  /** Routes of extensions. */
  readonly routes: readonly ExtensionRoute[]
  /** The metrics as text; `undefined` where the server's telemetry keeps none. */
  readonly metricsText: Telemetry['metricsText']
  /** A defect of our own, for the log: the response says nothing of it. */
  report(error: ModelmountError, requestId?: string): void
}

/** The routes of one dialect, or of a feature that all dialects share. */
export interface RouteTable {
  /** True for the paths that are this table's, routed or not: no other handler of the app may answer them. */
  owns(path: string): boolean
  readonly routes: readonly Route[]
  /** The body of a failed call. @default as the first of all dialects */
  encodeError?(error: ModelmountError): Uint8Array
  /** Paths that no dialect has, for frameworks that want to know them in advance. */
  readonly roots?: readonly string[]
}

/** Makes the table for one mount; `undefined` where the mount does not want it. */
export type TableMaker = (deps: HttpDeps, config: MountConfig) => RouteTable | undefined

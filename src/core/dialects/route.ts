/** The routes of a dialect, and the facts of the server that they answer with. */

import type { HttpRequest, HttpResponse } from '../http/types.ts'
import type { ModelInfo } from '../model/types.ts'
import type { Call } from '../predict/call.ts'
import type { Action } from '../predict/guard.ts'
import type { Served } from '../predict/served.ts'
import type { RepositoryControl } from '../registry/control.ts'

/** Lent by the server to the routes of dialects. */
export interface Backend {
  readonly serverName: string
  health(): { readonly live: boolean; readonly ready: boolean }
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
}

/** A request that has found its route. */
export interface Visit {
  readonly request: HttpRequest
  /** Named groups of the route's pattern, percent-decoded. */
  readonly params: Readonly<Record<string, string | undefined>>
}

/** A route that runs a model gives the call, which the mount sends on the way of every prediction. */
export type Handler = (visit: Visit) => HttpResponse | Call | Promise<HttpResponse>

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

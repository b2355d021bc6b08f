/** All that a capability brings to a server, as one handle. */

import type { JsonValue } from '../dialects/types.ts'
import type { HttpRequest, HttpResponse } from '../http/types.ts'
import type { ServerEvent } from '../model/events.ts'
import type { ModelInfo } from '../model/types.ts'
import type { Principal, Servable } from './call.ts'
import type { Action, Guard } from './guard.ts'
import type { RouteClass } from './route-class.ts'
import type { Stages } from './stage.ts'
import type { PredictInputs, PredictOptions, PredictResult } from './types.ts'

/** The version of these interfaces. An extension for another one is refused when the server is made. */
export const API_VERSION = 1

export interface ExtensionRoute {
  readonly class: RouteClass
  /** GET answers HEAD too. */
  readonly method: 'GET' | 'POST'
  /** Below the mount, such as `/audit/:model`: a segment after a colon is a parameter. */
  readonly path: string
  /** The action that guards are asked for. Parameters `model` and `version` are part of the demand. */
  readonly action: Action
  /** @param params of the path, percent-decoded */
  handle(
    request: HttpRequest,
    params: Readonly<Record<string, string | undefined>>,
    principal: Principal | undefined,
  ): HttpResponse | Promise<HttpResponse>
}

/** Facts that an extension knows. The server lends them to all extensions by `start()`, and reads none itself. */
export interface Source {
  readonly name: string
  read(): JsonValue | Promise<JsonValue>
}

/**
 * A page that an extension brings for operators, made from a {@link Source} of the same extension. The server lends it to all extensions by
 * `start()`, and shows none itself: that is for an extension with a route.
 */
export interface Panel {
  readonly name: string
  readonly title: string
  readonly source: string
}

/** Lent by a server to its extensions. */
export interface ExtensionContext {
  /** Milliseconds, on the server's clock. */
  now(): number
  /** Goes to the log and to subscribers, with the name of the extension. */
  warn(message: string): void
  predict(model: string, inputs: PredictInputs, opts?: PredictOptions): Promise<PredictResult>
  models(): readonly ModelInfo[]
  subscribe(listener: (event: ServerEvent) => void): () => void
  /** Of all extensions of the server. */
  readonly sources: readonly Source[]
  readonly panels: readonly Panel[]
}

/** Given to `createModelServer({ extensions })`. One handle belongs to one server. */
export interface Extension {
  readonly apiVersion: 1
  /** Lower-case letters, digits and `-`; each once in a server. */
  readonly name: string
  readonly stages?: Stages
  readonly servables?: readonly Servable[]
  readonly routes?: readonly ExtensionRoute[]
  readonly guards?: readonly Guard[]
  /** Given to the `start()` of every extension, and used by nothing else. */
  readonly sources?: readonly Source[]
  /** Given to the `start()` of every extension, and used by nothing else. */
  readonly panels?: readonly Panel[]
  /** Awaited before the first prediction. An error here fails `createModelServer()`. */
  start?(context: ExtensionContext): void | Promise<void>
  /** Called once when the server has answered its last request, in reverse order of the list. */
  close?(): void | Promise<void>
}

/** HTTP without a framework. */

import type { DialectOptions } from '../dialects/names.ts'
import type { AbortSignalLike } from '../host/abort.ts'
import type { RouteClass } from '../predict/route-class.ts'

export type { HttpDialect } from '../dialects/names.ts'

/** The routes that one mount of a server answers. */
export interface MountOptions extends DialectOptions {
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
  /**
   * Classes of routes that this mount answers, those of extensions among them. `management` and `metrics` add their own routes.
   * @default ['inference']
   */
  readonly show?: readonly RouteClass[]
}

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
  /** Follows `body`, which is bytes then: large pieces that the adapter has not joined, because tensors are copied out of them anyway. */
  readonly moreChunks?: readonly Uint8Array[]
  /** Buffers of `body` and `moreChunks` without another owner: they may be freed once tensors have been copied out of them. @default none */
  readonly given?: readonly ArrayBufferLike[] | undefined
  /** Fires when the client goes away. */
  readonly signal?: AbortSignalLike
  /**
   * The same for all requests of one connection, and no other: where requests have no tenant, one whose values fail is told from others by it.
   * @default none
   */
  readonly connection?: symbol
  /**
   * Counts its bytes for the adapter, which releases it when the request is over.
   * @default counted from here until the answer is there
   */
  readonly held?: HeldBytes | undefined
  /** On whose behalf it comes. @default none */
  readonly identity?: Identity | undefined
  /** The adapter has asked `admit()`, and the guards are not asked again. @default false */
  readonly admitted?: boolean
  /** The adapter writes `moreChunks` of an answer, too. @default false: an answer is `body`, whole */
  readonly acceptsChunks?: boolean
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

export interface HttpResponse {
  readonly status: number
  /** Lower-case names; `content-length` is among them wherever an answer may have it, also for HEAD, whose body is empty. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /**
   * Follows `body`, in this order, and counts for `content-length`: large tensors, because joining them costs as much as running a small
   * model. Only in answers to requests with `acceptsChunks`.
   */
  readonly moreChunks?: readonly Uint8Array[]
  /**
   * Frees the memory of `moreChunks`. An adapter calls it when the answer has left and no code reads it any more. Otherwise the next garbage
   * collections free the memory.
   */
  discard?(): void
}

/** One mount of a server, as adapters carry it. */
export interface HttpHandler {
  readonly maxBodyBytes: number
  readonly bodyTimeoutMs: number
  /** Counts the bytes of one request while they arrive. A body that does not fit is refused with `OVERLOADED` before more of it is read. */
  hold(): HeldBytes
  /** Answers a request; never rejects. A path that is not ours gets a 404. */
  handle(request: HttpRequest): Promise<HttpResponse>
  /** Paths of extensions that this mount answers, with `:name` for a parameter. */
  readonly roots: readonly string[]
  /** True for the paths that this mount answers, be it with a 404; an adapter leaves all others to the app. */
  owns(path: string): boolean
  /**
   * The answer to a request that is refused before its body is there: the app does not know its caller, a guard has refused it, the body is
   * over a limit. Where a model was to run, stages in `observe` and `identify` see the refusal, and it is counted. Never rejects.
   * @param request without its body
   */
  refuse(error: unknown, request: HttpRequest): Promise<HttpResponse>
  /**
   * The answer for any other error that happened before the core saw the request.
   * @param path decides whose shape of errors it gets. @default the Open Inference Protocol's
   * @param headers of the request, whose `x-request-id` the answer and the log then have
   */
  error(error: unknown, path?: string, headers?: HttpRequest['headers']): HttpResponse
  /**
   * Asks the guards of the server's extensions, where there are any, as far as method and path decide. Carriers call it before they read a body.
   * @returns a promise only where a guard decides later
   * @throws ModelmountError `FORBIDDEN`, `UNAUTHENTICATED`
   */
  admit?(method: string, path: string, identity: Identity | undefined): void | Promise<void>
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

/** One mount: finds the route of a request, answers HEAD, OPTIONS and wrong methods, and turns errors into answers. */

import { type Call, DIALECTS, type Handler, json, type Route } from '../dialects/index.ts'
import { type ErrorCode, ModelmountError, toModelmountError } from '../errors.ts'
import type { Answer } from '../predict/call.ts'
import type { Action, Demand } from '../predict/guard.ts'
import { TAKEN_CODINGS } from './content-coding.ts'
import { refuseCrossSite } from './cross-site.ts'
import { tooMuchInFlight } from './inflight.ts'
import { remembering } from './remembered.ts'
import { REQUEST_ID, requestIdOf } from './request-id.ts'
import { bytesIn, joined } from './rest.ts'
import type { HttpDeps, RouteTable } from './route.ts'
import type { ServerTiming } from './server-timing.ts'
import { deadlineHeaders } from './terms.ts'
import type { HttpHandler, HttpRequest, HttpResponse, Identity } from './types.ts'

/** All methods of one path. */
type Methods = Map<string, Omit<Route, 'method' | 'path'>>

interface Found {
  readonly methods: Methods
  readonly params: Call['params']
}

const NO_PARAMS: Call['params'] = Object.freeze({})
/** Paths whose route is remembered; clients ask for the same few again and again, and one that does not must not cost memory. */
const MOST_PATHS = 1000
const LONGEST_PATH = 256
const NOTHING = new Uint8Array()
/** Codes whose cause is kept from the caller, and shown to the operator. */
const REPORTED: ReadonlySet<ErrorCode> = new Set(['INTERNAL', 'IDENTITY_FAILED'])

export function createHandler(
  tables: readonly RouteTable[],
  deps: Pick<HttpDeps, 'maxBodyBytes' | 'bodyTimeoutMs' | 'inFlight' | 'report'> & Partial<Pick<HttpDeps, 'ask' | 'routes'>>,
  timing?: ServerTiming,
  encodeError: (error: ModelmountError) => Uint8Array = DIALECTS[0].encodeError,
): HttpHandler {
  const { ask } = deps
  const paths = new Map<string, Methods>()
  const patterns = new Map<string, { readonly pattern: RegExp; readonly methods: Methods }>()
  for (const route of tables.flatMap((table) => table.routes)) methodsOf(route.path).set(route.method, route)

  function methodsOf(path: string | RegExp): Methods {
    const key = String(path)
    const known = typeof path === 'string' ? paths.get(key) : patterns.get(key)?.methods
    if (known) return known
    const methods: Methods = new Map()
    if (typeof path === 'string') paths.set(key, methods)
    else patterns.set(key, { pattern: path, methods })
    return methods
  }

  const { find } = remembering(search, { most: MOST_PATHS, longest: LONGEST_PATH })

  function search(path: string): Found | undefined {
    const methods = paths.get(path)
    if (methods) return { methods, params: NO_PARAMS }
    for (const { pattern, methods } of patterns.values()) {
      const match = pattern.exec(path)
      if (match) return { methods, params: decodeGroups(match.groups) }
    }
    return undefined
  }

  function route(request: HttpRequest): ReturnType<Handler> {
    const found = find(request.path)
    if (!found) throw new ModelmountError('ROUTE_NOT_FOUND', 'there is no such route')
    const { methods, params } = found
    const method = request.method === 'HEAD' ? 'GET' : request.method
    const target = methods.get(method)
    if (target) {
      if (target.isManagement) refuseCrossSite(request)
      if (ask) ask(demandOf(target.action, params, request.identity))
      return target.handle({ request, params })
    }
    const allow = [...methods.keys(), ...(methods.has('GET') ? ['HEAD'] : []), 'OPTIONS'].join(', ')
    if (method === 'OPTIONS') return { status: 204, headers: { allow }, body: NOTHING }
    const refusal = failure(new ModelmountError('METHOD_NOT_ALLOWED', `this route takes ${allow}`), request.path)
    return { ...refusal, headers: { ...refusal.headers, allow } }
  }

  /** Adds headers by which a client finds its request again, sees where its time went, and learns which deadline held. */
  function marked(asked: HttpRequest['headers'] | undefined, response: HttpResponse): HttpResponse {
    if (!asked) return response
    const id = requestIdOf(asked)
    const took = timing?.headerOf(asked)
    const deadline = deadlineHeaders(asked)
    if (id === undefined && took === undefined && deadline === undefined) return response
    const headers = {
      ...(id === undefined ? {} : { [REQUEST_ID]: id }),
      ...(took === undefined ? {} : { 'server-timing': took }),
      ...deadline,
    }
    return { ...response, headers: { ...response.headers, ...headers } }
  }

  function failure(value: unknown, path: string | undefined, requestId?: string): HttpResponse {
    const error = toModelmountError(value)
    if (REPORTED.has(error.code)) deps.report(error, requestId)
    const encode = (path !== undefined && tables.find((table) => table.owns(path))?.encodeError) || encodeError
    return json(error.status, encode(error), adviceOf(error))
  }

  async function handle(request: HttpRequest): Promise<HttpResponse> {
    const isHead = request.method === 'HEAD'
    try {
      const response = responseOf(await route(request))
      return framed(marked(request.headers, request.acceptsRest ? response : whole(response)), isHead)
    } catch (error) {
      return framed(marked(request.headers, failure(error, request.path, requestIdOf(request.headers))), isHead)
    }
  }

  /** For adapters that have not counted what they bring. */
  async function handleHolding(request: HttpRequest): Promise<HttpResponse> {
    const held = deps.inFlight.hold()
    try {
      if (held.add(bytesOf(request))) return await handle({ ...request, held })
      const refusal = failure(tooMuchInFlight(), request.path, requestIdOf(request.headers))
      return framed(marked(request.headers, refusal), request.method === 'HEAD')
    } finally {
      held.release()
    }
  }

  /** Before the body is read, for carriers. */
  function admit(method: string, path: string, identity: Identity | undefined): void {
    const found = find(path)
    const target = found?.methods.get(method === 'HEAD' ? 'GET' : method)
    if (found && target) ask?.(demandOf(target.action, found.params, identity))
  }

  return {
    ...(ask ? { admit } : {}),
    maxBodyBytes: deps.maxBodyBytes,
    bodyTimeoutMs: deps.bodyTimeoutMs,
    hold: deps.inFlight.hold,
    roots: tables.flatMap(({ roots = [] }) => roots),
    owns: (path) => tables.some((table) => table.owns(path)),
    runsModel(method, path) {
      try {
        return find(path)?.methods.get(method)?.runsModel === true
      } catch {
        // A path that cannot be decoded is refused by its route.
        return false
      }
    },
    error: (error, path, headers) => framed(marked(headers, failure(error, path, requestIdOf(headers))), false),
    handle: (request) => (request.held ? handle(request) : handleHolding(request)),
  }
}

/** The response of a prediction, or of any other route. */
function responseOf(given: HttpResponse | Answer): HttpResponse {
  if ('status' in given) return given
  if (given.response) return given.response
  throw new ModelmountError('INTERNAL', 'internal error', {
    cause: new Error('a stage has answered a request without a response'),
  })
}

const demandOf = (action: Action, { model, version }: Call['params'], principal: Identity | undefined): Demand => ({
  action,
  via: 'http',
  principal,
  model,
  version,
})

/** Headers that tell a client how to do better, where HTTP has one for that. */
function adviceOf({ status, retryAfterS, details }: ModelmountError): Record<string, string> {
  if (status === 429 || status === 503) return { 'retry-after': String(retryAfterS ?? 1) }
  // RFC 7694.
  return status === 415 && details?.field === 'content-encoding' ? { 'accept-encoding': TAKEN_CODINGS } : {}
}

/**
 * An answer to HEAD tells the length of the body that GET would get; RFC 9110, 8.6 forbids the field with 204. Every answer has headers of its
 * own, so the length goes in there: a copy of them costs as much as writing a small tensor.
 */
function framed(response: HttpResponse, isHead: boolean): HttpResponse {
  const { status, headers, body, rest, discard } = response
  if (status === 204) return { status, headers, body }
  ;(headers as Record<string, string>)['content-length'] = String(bytesIn(response))
  if (isHead) return { status, headers, body: NOTHING }
  if (!rest) return { status, headers, body }
  return discard ? { status, headers, body, rest, discard } : { status, headers, body, rest }
}

const bytesOf = ({ body, rest }: HttpRequest): number => (body instanceof Uint8Array ? bytesIn({ body, rest }) : 0)

/** In one piece, for adapters that do not take several. */
function whole(response: HttpResponse): HttpResponse {
  const { status, headers, body } = joined(response)
  response.discard?.()
  return { status, headers, body }
}

function decodeGroups(groups: Readonly<Record<string, string | undefined>> | undefined): Call['params'] {
  const params: Record<string, string | undefined> = Object.create(null)
  for (const [name, segment] of Object.entries(groups ?? {}))
    params[name] = segment === undefined ? undefined : decodeSegment(segment)
  return Object.freeze(params)
}

function decodeSegment(segment: string): string {
  if (!segment.includes('%')) return segment
  try {
    return decodeURIComponent(segment)
  } catch {
    throw new ModelmountError('REQUEST_INVALID', 'the path is not validly percent-encoded', { details: { field: 'path' } })
  }
}

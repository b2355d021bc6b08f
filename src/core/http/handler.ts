/** One mount: finds the route of a request, answers HEAD, OPTIONS and wrong methods, and turns errors into answers. */

import { DIALECTS, json, type Route, type Visit } from '../dialects/index.ts'
import { type ErrorCode, ModelmountError, toModelmountError } from '../errors.ts'
import type { Answer, Call } from '../predict/call.ts'
import type { Action, Demand } from '../predict/guard.ts'
import type { Pipeline } from '../predict/pipeline.ts'
import { whileWaited } from '../predict/waited.ts'
import { bytesIn, joined } from './chunks.ts'
import { completable } from './completable.ts'
import { TAKEN_CODINGS } from './content-coding.ts'
import { refuseCrossSite } from './cross-site.ts'
import { tooMuchInFlight } from './inflight.ts'
import { createPaths } from './paths.ts'
import { REQUEST_ID, requestIdOf } from './request-id.ts'
import type { HttpDeps, RouteTable } from './route.ts'
import type { ServerTiming } from './server-timing.ts'
import { deadlineHeaders } from './terms.ts'
import type { HttpHandler, HttpRequest, HttpResponse, Identity } from './types.ts'

/** By a route: its response, or the call that it makes. */
type Given = HttpResponse | Call | Promise<HttpResponse | Call>

const NOTHING = new Uint8Array()
/** Codes whose cause is kept from the caller, and shown to the operator. */
const REPORTED: ReadonlySet<ErrorCode> = new Set(['INTERNAL', 'IDENTITY_FAILED'])

export function createHandler(
  tables: readonly RouteTable[],
  deps: Pick<HttpDeps, 'maxBodyBytes' | 'bodyTimeoutMs' | 'inFlight' | 'pipeline' | 'ledger' | 'report'> &
    Partial<Pick<HttpDeps, 'ask'>>,
  timing?: ServerTiming,
  encodeError: (error: ModelmountError) => Uint8Array = DIALECTS[0].encodeError,
): HttpHandler {
  const { ask, pipeline, ledger } = deps
  const { find } = createPaths(tables)

  function route(request: HttpRequest): Given {
    const found = find(request.path)
    if (!found)
      return failure(new ModelmountError('ROUTE_NOT_FOUND', 'there is no such route'), request.path, requestIdOf(request.headers))
    const { methods, params } = found
    const method = request.method === 'HEAD' ? 'GET' : request.method
    const target = methods.get(method)
    if (target) {
      if (target.isManagement) refuseCrossSite(request)
      if (ask && !request.admitted)
        return allowed(ask(demandOf(target.action, params, request.identity)), target, { request, params })
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

  /** One function, because each promise on the way costs a microsecond. */
  async function handle(request: HttpRequest): Promise<HttpResponse> {
    let call: Call | undefined
    try {
      const found = route(request)
      const given = found instanceof Promise ? await found : found
      if ('status' in given) return finished(request, given)
      call = given
      const answer = await pipeline.predict(given)
      const response = finished(request, responseOf(answer, pipeline))
      ledger.succeeded(given, answer)
      return response
    } catch (error) {
      if (!call) return refuse(error, request)
      ledger.failed(call, error)
      return failed(request, error)
    }
  }

  async function refuse(refusal: unknown, request: HttpRequest): Promise<HttpResponse> {
    const call = predictionOf(request)
    if (!call) return failed(request, refusal)
    try {
      const answer = await pipeline.refuse(call, refusal)
      const response = finished(request, responseOf(answer, pipeline))
      ledger.succeeded(call, answer)
      return response
    } catch (error) {
      ledger.failed(call, error)
      return failed(request, error)
    }
  }

  /** The call of a request that was to run a model. */
  function predictionOf(request: HttpRequest): Call | undefined {
    if (!runsModel(request.method, request.path)) return undefined
    const found = route({ ...request, admitted: true })
    return 'codec' in found ? found : undefined
  }

  const finished = (request: HttpRequest, response: HttpResponse): HttpResponse =>
    framed(marked(request.headers, request.acceptsChunks ? response : whole(response)), request.method === 'HEAD')

  const failed = ({ method, path, headers }: HttpRequest, error: unknown): HttpResponse =>
    framed(marked(headers, failure(error, path, requestIdOf(headers))), method === 'HEAD')

  function runsModel(method: string, path: string): boolean {
    try {
      return find(path)?.methods.get(method)?.runsModel === true
    } catch {
      // A path that cannot be decoded is refused by its route.
      return false
    }
  }

  /** For adapters that have not counted what they bring. */
  async function handleHolding(request: HttpRequest): Promise<HttpResponse> {
    const held = deps.inFlight.hold()
    try {
      if (held.add(bytesOf(request))) return await handle({ ...request, held })
      return await refuse(tooMuchInFlight(), request)
    } finally {
      held.release()
    }
  }

  /** Before the body is read, for carriers. */
  function admit(method: string, path: string, identity: Identity | undefined): void | Promise<void> {
    const found = find(path)
    const target = found?.methods.get(method === 'HEAD' ? 'GET' : method)
    return found && target ? ask?.(demandOf(target.action, found.params, identity)) : undefined
  }

  return {
    ...(ask ? { admit } : {}),
    maxBodyBytes: deps.maxBodyBytes,
    bodyTimeoutMs: deps.bodyTimeoutMs,
    hold: deps.inFlight.hold,
    roots: tables.flatMap(({ roots = [] }) => roots),
    owns: (path) => tables.some((table) => table.owns(path)),
    runsModel,
    refuse,
    error: (error, path, headers) => framed(marked(headers, failure(error, path, requestIdOf(headers))), false),
    handle: (request) => (request.held ? handle(request) : handleHolding(request)),
  }
}

/** Once the guards have agreed. */
const allowed = (later: void | Promise<void>, { handle }: Pick<Route, 'handle'>, visit: Visit): Given =>
  later ? whileWaited(later, { signal: visit.request.signal }).then(() => handle(visit)) : handle(visit)

function responseOf({ response }: Answer, { isExtended }: Pick<Pipeline, 'isExtended'>): HttpResponse {
  if (response) return isExtended ? completable(response) : response
  throw new ModelmountError('INTERNAL', 'internal error', {
    cause: new Error('a stage has answered a request without a response'),
  })
}

const demandOf = (action: Action, { model, version }: Visit['params'], principal: Identity | undefined): Demand => ({
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
 * An answer to HEAD tells the length of the body that GET would get; RFC 9110, 8.6 forbids the field with 204. Every answer here has headers of
 * its own, so the length goes in there: a copy of them costs as much as writing a small tensor.
 */
function framed(response: HttpResponse, isHead: boolean): HttpResponse {
  const { status, headers, body, moreChunks, discard } = response
  // RFC 9110, 15.3.5 and 15.4.5: these have no body.
  if (status === 204 || status === 304) return { status, headers, body: NOTHING }
  ;(headers as Record<string, string>)['content-length'] = String(bytesIn(response))
  if (isHead) return { status, headers, body: NOTHING }
  if (!moreChunks) return { status, headers, body }
  return discard ? { status, headers, body, moreChunks, discard } : { status, headers, body, moreChunks }
}

const bytesOf = ({ body, moreChunks }: HttpRequest): number => (body instanceof Uint8Array ? bytesIn({ body, moreChunks }) : 0)

/** In one piece, for adapters that do not take several. */
function whole(response: HttpResponse): HttpResponse {
  const { status, headers, body } = joined(response)
  response.discard?.()
  return { status, headers, body }
}

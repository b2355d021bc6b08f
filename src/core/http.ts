/** The route table: a neutral request in, a neutral response out, no framework. */

import { isModelmountError, ModelmountError, toModelmountError } from './errors.ts'
import type { Model } from './model.ts'
import { decodeInfer, encodeError, encodeInfer, encodeModelMetadata, encodeServerMetadata } from './protocol/open-inference.ts'
import type {
  HttpRequest,
  HttpResponse,
  HttpSurface,
  ModelInfo,
  PredictOptions,
  PredictResult,
  ServerHealth,
  Tensor,
} from './types.ts'
import { VERSION } from './version.ts'

interface Deps {
  readonly serverName: string
  readonly maxBodyBytes: number
  health(): ServerHealth
  resolve(name: string, version: string | undefined): Model
  /** Versions of a model that are ready. */
  versions(name: string): readonly string[]
  modelNames(): readonly string[]
  info(model: Model): ModelInfo
  run(model: Model, inputs: Readonly<Record<string, Tensor>>, opts: PredictOptions): Promise<PredictResult>
  /** A defect of our own, for the log: the response says nothing of it. */
  report(error: ModelmountError): void
}

interface Context {
  readonly request: HttpRequest
  readonly model: string
  readonly version: string | undefined
}

type Handler = (context: Context) => HttpResponse | Promise<HttpResponse>

/** `:model` and `:version` are single, percent-decoded segments. */
interface Route {
  readonly method: 'GET' | 'POST'
  readonly pattern: RegExp
  readonly handle: Handler
}

/** What the metadata endpoint lists; only what works. */
const EXTENSIONS: readonly string[] = []

const encoder = new TextEncoder()

function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): HttpResponse {
  const bytes = body instanceof Uint8Array ? body : encoder.encode(JSON.stringify(body))
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: bytes }
}

export function createHttp(deps: Deps): HttpSurface {
  const MODEL = '/v2/models/(?<model>[^/]+)(?:/versions/(?<version>[^/]+))?'

  const routes: readonly Route[] = [
    { method: 'GET', pattern: /^\/v2\/?$/, handle: () => json(200, encodeServerMetadata(deps.serverName, VERSION, EXTENSIONS)) },
    { method: 'GET', pattern: /^\/v2\/health\/live$/, handle: live },
    { method: 'GET', pattern: /^\/v2\/health\/ready$/, handle: ready },
    { method: 'GET', pattern: /^\/v2\/models$/, handle: () => json(200, { models: deps.modelNames() }) },
    { method: 'GET', pattern: new RegExp(`^${MODEL}$`), handle: metadata },
    { method: 'GET', pattern: new RegExp(`^${MODEL}/ready$`), handle: modelReady },
    { method: 'POST', pattern: new RegExp(`^${MODEL}/infer$`), handle: infer },
  ]

  // ---------------------------------------------------------------- endpoints

  function live(): HttpResponse {
    const { live } = deps.health()
    return json(live ? 200 : 503, { live })
  }

  function ready(): HttpResponse {
    const { ready } = deps.health()
    return json(ready ? 200 : 503, { ready })
  }

  function modelReady({ model, version }: Context): HttpResponse {
    try {
      const ready = deps.resolve(model, version).available
      return json(ready ? 200 : 503, { name: model, ready })
    } catch (error) {
      if (isModelmountError(error) && error.status === 503) return json(503, { name: model, ready: false })
      throw error
    }
  }

  function metadata({ model, version }: Context): HttpResponse {
    const info = deps.info(deps.resolve(model, version))
    return json(200, encodeModelMetadata(info, version === undefined ? deps.versions(model) : [version]))
  }

  async function infer({ request, model: name, version }: Context): Promise<HttpResponse> {
    const model = deps.resolve(name, version)
    checkMediaType(request)
    const { id, inputs, outputs } = decodeInfer(request.body, model.signature, model.config)
    const timeoutMs = timeoutOf(request)
    const result = await deps.run(model, inputs, { id: id ?? '', outputs, signal: request.signal, timeoutMs })
    return json(200, encodeInfer(result, { id }))
  }

  // ---------------------------------------------------------------- routing

  async function route(request: HttpRequest): Promise<HttpResponse> {
    const allowed = new Set<string>()
    for (const { method, pattern, handle } of routes) {
      const match = pattern.exec(request.path)
      if (!match) continue
      if (method === request.method || (method === 'GET' && request.method === 'HEAD')) {
        const { model = '', version } = match.groups ?? {}
        return handle({
          request,
          model: decodeSegment(model),
          version: version === undefined ? undefined : decodeSegment(version),
        })
      }
      allowed.add(method)
      if (method === 'GET') allowed.add('HEAD')
    }
    if (allowed.size === 0) throw new ModelmountError('ROUTE_NOT_FOUND', 'there is no such route')
    const allow = [...allowed, 'OPTIONS'].join(', ')
    if (request.method === 'OPTIONS') return { status: 204, headers: { allow }, body: new Uint8Array() }
    const refusal = errorResponse(new ModelmountError('METHOD_NOT_ALLOWED', `this route takes ${allow}`))
    return { ...refusal, headers: { ...refusal.headers, allow } }
  }

  function errorResponse(value: unknown): HttpResponse {
    const error = toModelmountError(value)
    if (error.code === 'INTERNAL') deps.report(error)
    return json(error.status, encodeError(error), error.status === 503 ? { 'retry-after': String(error.retryAfterS ?? 1) } : {})
  }

  return {
    maxBodyBytes: deps.maxBodyBytes,
    error: errorResponse,
    async handle(request) {
      try {
        return await route(request)
      } catch (error) {
        return errorResponse(error)
      }
    },
  }
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw new ModelmountError('REQUEST_INVALID', 'the path is not validly percent-encoded', { details: { field: 'path' } })
  }
}

const TIMEOUT_HEADER = 'x-request-timeout-ms'
const MAX_TIMEOUT_MS = 3_600_000

/** The client's own deadline, if it names one. */
function timeoutOf({ headers }: HttpRequest): number | undefined {
  const text = headers[TIMEOUT_HEADER]
  if (text === undefined) return undefined
  const ms = typeof text === 'string' && /^\d{1,7}$/.test(text) ? Number(text) : 0
  if (ms >= 1 && ms <= MAX_TIMEOUT_MS) return ms
  const expected = `a whole number of milliseconds from 1 to ${MAX_TIMEOUT_MS}`
  throw new ModelmountError('REQUEST_INVALID', `the header ${TIMEOUT_HEADER} must be ${expected}`, {
    details: { field: TIMEOUT_HEADER, expected, got: String(text).slice(0, 50) },
  })
}

/** JSON, or no content type at all: the protocol's own clients send none. */
function checkMediaType({ headers, body }: HttpRequest): void {
  const encoding = String(headers['content-encoding'] ?? 'identity').toLowerCase()
  if (encoding !== 'identity' && body instanceof Uint8Array) throw unsupported('content-encoding', 'identity', encoding)
  if (headers['inference-header-content-length'] !== undefined)
    throw new ModelmountError('REQUEST_INVALID', 'binary tensor data is not supported by this server; send JSON', {
      details: { field: 'inference-header-content-length' },
    })
  const type = headers['content-type']
  if (type === undefined || type === '') return
  const [essence = '', ...parameters] = String(type).toLowerCase().split(';')
  if (!/^\s*application\/(?:[\w.+-]+\+)?json\s*$/.test(essence))
    throw unsupported('content-type', 'application/json', essence.trim())
  const charset = parameters
    .map((parameter) => /^\s*charset\s*=\s*"?([^"\s]+)/.exec(parameter)?.[1])
    .find((value) => value !== undefined)
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8')
    throw unsupported('content-type', 'charset utf-8', charset)
}

const unsupported = (field: string, expected: string, got: string): ModelmountError =>
  new ModelmountError('MEDIA_TYPE_UNSUPPORTED', `${field} must be ${expected}, got ${got.slice(0, 100)}`, {
    details: { field, expected, got: got.slice(0, 100) },
  })

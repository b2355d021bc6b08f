/** MLflow's scoring server, which SageMaker's containers share `/ping` and `/invocations` with: one mount serves one model. */

import type { Body } from '../../decoding/index.ts'
import { ModelmountError } from '../../errors.ts'
import { inTurns } from '../../host/turns.ts'
import { encodeInvocation, encodeMlflowError } from '../../protocol/index.ts'
import { discard } from '../../tensor/index.ts'
import { VERSION } from '../../version.ts'
import { packed } from '../content-coding.ts'
import { received } from '../received.ts'
import { type Call, inference, json, type TableMaker, written } from '../route.ts'
import { readBy, termsOf } from '../terms.ts'
import type { HttpRequest, HttpResponse } from '../types.ts'

const PATHS: ReadonlySet<string> = new Set(['/invocations', '/ping', '/health', '/version'])

export const mlflow: TableMaker = (deps, { config }) => {
  if (!config.dialects.includes('mlflow')) return undefined

  /** The model that the mount was made for, or the only one there is. */
  function target(): { readonly model: string; readonly version?: string } {
    if (config.mlflow) return config.mlflow
    const names = deps.modelNames()
    const [model] = names
    if (model !== undefined && names.length === 1) return { model }
    const message = `the server has ${names.length} models; say which one /invocations serves with mlflow: { model }`
    throw new ModelmountError('MODEL_NOT_FOUND', message)
  }

  async function invoke({ request, params: { model: name = '', version } }: Call, at: number): Promise<HttpResponse> {
    const model = deps.resolve(name, version)
    const mediaType = mediaTypeOf(request)
    const limit = Math.min(deps.maxBodyBytes, deps.maxJsonBytes)
    const opts = {
      maxElements: model.config.maxElements,
      mediaType,
      signal: request.signal,
      deadline: readBy(request, model, at, false),
    }
    const decode = (body: Body) => deps.decode('invocation', body, model.signature, opts)
    const { inputs, isTable } = await received(request, limit, decode)
    const call = { ...termsOf(request, model, config, deps.now() - at), id: '' }
    const result = await deps.run(model, inputs, call, request.headers)
    const pieces = await inTurns(encodeInvocation(result, isTable))
    discard(result.outputs)
    return packed(written(pieces), request)
  }
  const counted = inference(deps, invoke)

  /** 404 while the model is not there is MLflow's own answer. */
  function ping(): HttpResponse {
    try {
      const { model, version } = target()
      return { ...json(deps.resolve(model, version).available ? 200 : 404, NEWLINE) }
    } catch {
      return json(404, NEWLINE)
    }
  }

  return {
    owns: (path) => PATHS.has(path),
    encodeError: encodeMlflowError,
    routes: [
      {
        method: 'POST',
        path: '/invocations',
        handle: ({ request }) => counted({ request, params: { ...target() } }),
        runsModel: true,
      },
      { method: 'GET', path: '/ping', handle: ping },
      { method: 'GET', path: '/health', handle: ping },
      {
        method: 'GET',
        path: '/version',
        handle: () => ({ status: 200, headers: { 'content-type': 'text/plain' }, body: Buffer.from(VERSION) }),
      },
    ],
  }
}

const NEWLINE = Buffer.from('\n')

/** JSON where nothing is said; another character set or parameter is refused, as MLflow does. */
function mediaTypeOf({ headers }: HttpRequest): 'json' | 'csv' {
  const stated = String(headers['content-type'] ?? '').trim()
  if (stated === '') return 'json'
  const [essence = '', ...parameters] = stated
    .toLowerCase()
    .split(';')
    .map((part) => part.trim())
  const isKnown = parameters.every((parameter) => parameter === '' || /^charset\s*=\s*"?utf-?8"?$/.test(parameter))
  if (isKnown && essence === 'application/json') return 'json'
  if (isKnown && essence === 'text/csv') return 'csv'
  const [expected, got] = ['application/json or text/csv, in UTF-8', stated.slice(0, 100)]
  throw new ModelmountError('MEDIA_TYPE_UNSUPPORTED', `content-type must be ${expected}, got ${got}`, {
    details: { field: 'content-type', expected, got },
  })
}

/** MLflow's scoring server, which SageMaker's containers share `/ping` and `/invocations` with: one mount serves one model. */

import { ModelmountError } from '../../errors.ts'
import type { Operation } from '../../http/codec.ts'
import { inference } from '../../http/inference.ts'
import { json, shows, type TableMaker, written } from '../../http/route.ts'
import type { HttpRequest, HttpResponse } from '../../http/types.ts'
import { VERSION } from '../../version.ts'
import type { Steps } from '../codec/index.ts'
import type { InvocationRequest } from './request.ts'
import { encodeInvocation, encodeMlflowError } from './response.ts'

interface Target {
  readonly [param: string]: string | undefined
  readonly model: string
  readonly version?: string
}

const PATHS: ReadonlySet<string> = new Set(['/invocations', '/ping', '/health', '/version'])

const INVOKE: Operation<InvocationRequest> = {
  kind: 'invocation',
  bodySays: false,
  packs: true,
  read: (request) => ({ mediaType: mediaTypeOf(request) }),
  *encode(result, { isTable }): Steps<HttpResponse> {
    return written(yield* encodeInvocation(result, isTable))
  },
}

export const mlflow: TableMaker = (deps, mount) => {
  const { config } = mount
  if (!shows(config, 'mlflow')) return undefined

  /** The model that the mount was made for, or the only one there is. */
  function target(): Target {
    if (config.mlflow) return { ...config.mlflow }
    const names = deps.modelNames()
    const [model] = names
    if (model !== undefined && names.length === 1) return { model }
    const message = `the server has ${names.length} models; say which one /invocations serves with mlflow: { model }`
    throw new ModelmountError('MODEL_NOT_FOUND', message)
  }

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
        action: 'infer',
        handle: inference(deps, mount, INVOKE, target),
        runsModel: true,
      },
      { method: 'GET', path: '/ping', action: 'list', handle: ping },
      { method: 'GET', path: '/health', action: 'list', handle: ping },
      {
        method: 'GET',
        path: '/version',
        action: 'list',
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

/** Routes of MLflow's scoring server. */

import { ModelmountError } from '../../errors.ts'
import type { HttpRequest, HttpResponse } from '../../http/types.ts'
import { VERSION } from '../../version.ts'
import type { Steps } from '../codec/index.ts'
import type { Mount } from '../dialect.ts'
import type { Operation } from '../operation.ts'
import { json, written } from '../response.ts'
import type { Backend, Route } from '../route.ts'
import type { MlflowOptions } from './options.ts'
import { INVOCATION, type InvocationRequest } from './request.ts'
import { encodeInvocation } from './response.ts'

interface Target {
  readonly [param: string]: string | undefined
  readonly model: string
  readonly version?: string
}

const INVOKE: Operation<InvocationRequest> = {
  decoder: INVOCATION,
  packs: true,
  read: (request) => ({ mediaType: mediaTypeOf(request) }),
  *encode(result, { isTable }): Steps<HttpResponse> {
    return written(yield* encodeInvocation(result, isTable))
  },
}

export function routes(backend: Backend, mount: Mount<MlflowOptions>): readonly Route[] {
  if (!mount.show.includes('inference')) return []
  const { mlflow } = mount.options

  /** The model that the mount was made for, or the only one there is. */
  function target(): Target {
    if (mlflow) return { ...mlflow }
    const names = backend.modelNames()
    const [model] = names
    if (model !== undefined && names.length === 1) return { model }
    const message = `the server has ${names.length} models; say which one /invocations serves with mlflow: { model }`
    throw new ModelmountError('MODEL_NOT_FOUND', message)
  }

  /** 404 while the model is not there is MLflow's own answer. */
  function ping(): HttpResponse {
    try {
      const { model, version } = target()
      return { ...json(backend.resolve(model, version).available ? 200 : 404, NEWLINE) }
    } catch {
      return json(404, NEWLINE)
    }
  }

  return [
    { method: 'POST', path: '/invocations', action: 'infer', handle: mount.infer(INVOKE, target), runsModel: true },
    { method: 'GET', path: '/ping', action: 'list', handle: ping },
    { method: 'GET', path: '/health', action: 'list', handle: ping },
    { method: 'GET', path: '/version', action: 'list', handle: version },
  ]
}

const version = (): HttpResponse => ({ status: 200, headers: { 'content-type': 'text/plain' }, body: Buffer.from(VERSION) })

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

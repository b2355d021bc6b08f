/** Open Inference Protocol v2: health, metadata and inference. */

import { isModelmountError } from '../../errors.ts'
import { inTurns } from '../../host/turns.ts'
import {
  type EncodedInfer,
  encodeInfer,
  encodeModelMetadata,
  encodeServerMetadata,
  encodeShort,
  sequenceOf,
} from '../../protocol/index.ts'
import { discard, freeUnused } from '../../tensor/index.ts'
import { VERSION } from '../../version.ts'
import { packed } from '../content-coding.ts'
import { checkInferenceType, headerLengthOf } from '../media-type.ts'
import { received } from '../received.ts'
import { type Call, inference, json, type TableMaker, whole, written } from '../route.ts'
import { readBy, termsOf } from '../terms.ts'
import type { HttpResponse } from '../types.ts'

/** The start of every path about one model. */
export const MODEL = '/v2/models/(?<model>[^/]+)(?:/versions/(?<version>[^/]+))?'

/** True for the paths of the protocol and its extensions. */
export const isOpenInference = (path: string): boolean => path === '/v2' || path.startsWith('/v2/')

export const openInference: TableMaker = (deps, mount) => {
  if (!mount.config.dialects.includes('open-inference')) return undefined

  function live(): HttpResponse {
    const { live } = deps.health()
    return json(live ? 200 : 503, { live })
  }

  function ready(): HttpResponse {
    const { ready } = deps.health()
    return json(ready ? 200 : 503, { ready })
  }

  function modelReady({ params: { model: name = '', version } }: Call): HttpResponse {
    try {
      const ready = deps.resolve(name, version).available
      return json(ready ? 200 : 503, { name, ready })
    } catch (error) {
      if (isModelmountError(error) && error.status === 503) return json(503, { name, ready: false })
      throw error
    }
  }

  function server(): HttpResponse {
    const keepsState = deps.known().some(({ config, state }) => config.sequences !== undefined && state === 'ready')
    // In Triton's order.
    const extensions = mount
      .extensions()
      .flatMap((name) => (keepsState && name === 'classification' ? [name, 'sequence'] : [name]))
    return json(200, encodeServerMetadata(deps.serverName, VERSION, extensions))
  }

  function metadata({ params: { model = '', version } }: Call): HttpResponse {
    const info = deps.info(deps.resolve(model, version))
    return json(200, encodeModelMetadata(info, version === undefined ? deps.versions(model) : [version]))
  }

  async function infer({ request, params: { model: name = '', version } }: Call, at: number): Promise<HttpResponse> {
    const model = deps.resolve(name, version)
    const headerLength = headerLengthOf(request)
    if (headerLength === undefined) checkInferenceType(request)
    const { signature, config, labels } = model
    const limit = headerLength === undefined ? Math.min(deps.maxBodyBytes, deps.maxJsonBytes) : deps.maxBodyBytes
    const { maxElements } = config
    const { room } = model
    // Fields by name: a spread behind others costs a microsecond, for every request.
    const opts = { headerLength, maxElements, room, signal: request.signal, deadline: readBy(request, model, at, true) }
    const decoded = received(request, limit, (body) => deps.decode('infer', body, signature, opts))
    const isLater = decoded instanceof Promise
    const { id, inputs, outputs, forms, parameters } = isLater ? await decoded : decoded
    if (request.given) freeUnused(request.given, inputs)
    const sequence = sequenceOf(parameters, config.sequences !== undefined)
    const { signal, connection, tenant, timeoutMs, priority } = termsOf(
      request,
      model,
      mount.config,
      isLater ? deps.now() - at : 0,
      parameters,
    )
    const call = { id: id ?? '', version, outputs, sequence, signal, connection, tenant, timeoutMs, priority }
    const result = await deps.run(model, inputs, call, request.headers)
    const encoding = { id, forms, signature, labels }
    const short = encodeShort(result, encoding)
    if (short) {
      discard(result.outputs)
      return packed(whole(short), request)
    }
    const steps = inTurns(encodeInfer(result, encoding))
    const encoded = steps instanceof Promise ? await steps : steps
    // The result is this request's alone, also where there is a cache.
    const free = (): void => discard(result.outputs)
    if (!encoded.hasViews) free()
    return packed(inferAnswer(encoded, free), request)
  }

  return {
    extensions: ['classification', 'schedule_policy', 'binary_tensor_data', 'parameters'],
    owns: isOpenInference,
    routes: [
      { method: 'POST', path: new RegExp(`^${MODEL}/infer$`), handle: inference(deps, infer), runsModel: true },
      { method: 'GET', path: '/v2', handle: server },
      { method: 'GET', path: '/v2/', handle: server },
      { method: 'GET', path: '/v2/health/live', handle: live },
      { method: 'GET', path: '/v2/health/ready', handle: ready },
      { method: 'GET', path: '/v2/models', handle: () => json(200, { models: deps.modelNames() }) },
      { method: 'GET', path: new RegExp(`^${MODEL}/ready$`), handle: modelReady },
      { method: 'GET', path: new RegExp(`^${MODEL}$`), handle: metadata },
    ],
  }
}

/** Some client libraries look for the header alone, some for the content type. */
function inferAnswer({ body, rest, hasViews, headerLength }: EncodedInfer, discard: () => void): HttpResponse {
  if (headerLength === undefined) return rest ? written([body, ...rest]) : whole(body)
  const headers = { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(headerLength) }
  if (!rest) return { status: 200, headers, body }
  return hasViews ? { status: 200, headers, body, rest, discard } : { status: 200, headers, body, rest }
}

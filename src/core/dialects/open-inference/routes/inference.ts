/** Open Inference Protocol v2: health, metadata and inference. */

import { isModelmountError } from '../../../errors.ts'
import { type Operation, WHOLE } from '../../../http/codec.ts'
import { inference } from '../../../http/inference.ts'
import { checkInferenceType, headerLengthOf } from '../../../http/media-type.ts'
import { type Call, json, shows, type TableMaker, whole, written } from '../../../http/route.ts'
import type { HttpResponse } from '../../../http/types.ts'
import { discard } from '../../../tensor/index.ts'
import { VERSION } from '../../../version.ts'
import type { Result, Steps } from '../../codec/index.ts'
import type { InferRequest } from '../infer-request.ts'
import { encodeModelMetadata, encodeServerMetadata } from '../metadata.ts'
import { type EncodedInfer, encodeInfer, encodeRaw, encodeShort } from '../response.ts'

/** The start of every path about one model. */
export const MODEL = '/v2/models/(?<model>[^/]+)(?:/versions/(?<version>[^/]+))?'

/** True for the paths of the protocol and its extensions. */
export const isOpenInference = (path: string): boolean => path === '/v2' || path.startsWith('/v2/')

export const openInference: TableMaker = (deps, mount) => {
  if (!shows(mount.config, 'open-inference')) return undefined

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

  return {
    extensions: ['classification', 'schedule_policy', 'binary_tensor_data', 'parameters'],
    owns: isOpenInference,
    routes: [
      {
        method: 'POST',
        path: new RegExp(`^${MODEL}/infer$`),
        action: 'infer',
        handle: inference(deps, mount, INFER),
        runsModel: true,
      },
      { method: 'GET', path: '/v2', action: 'list', handle: server },
      { method: 'GET', path: '/v2/', action: 'list', handle: server },
      { method: 'GET', path: '/v2/health/live', action: 'list', handle: live },
      { method: 'GET', path: '/v2/health/ready', action: 'list', handle: ready },
      { method: 'GET', path: '/v2/models', action: 'list', handle: () => json(200, { models: deps.modelNames() }) },
      { method: 'GET', path: new RegExp(`^${MODEL}/ready$`), action: 'read', handle: modelReady },
      { method: 'GET', path: new RegExp(`^${MODEL}$`), action: 'read', handle: metadata },
    ],
  }
}

const INFER: Operation<InferRequest> = {
  kind: 'infer',
  bodySays: true,
  packs: true,
  read(request) {
    const headerLength = headerLengthOf(request)
    if (headerLength !== undefined) return { headerLength }
    checkInferenceType(request)
    return WHOLE
  },
  encode(result, { id, forms }, { signature, labels }) {
    const encoding = { id, forms, signature, labels }
    const short = encodeShort(result, encoding)
    if (short) return whole(short)
    const raw = encodeRaw(result, encoding)
    return raw ? inferAnswer(raw, () => discard(result.outputs)) : encodeLong(result, encoding)
  },
}

function* encodeLong(result: Result, encoding: Parameters<typeof encodeInfer>[1]): Steps<HttpResponse> {
  return inferAnswer(yield* encodeInfer(result, encoding), () => discard(result.outputs))
}

/** Some client libraries look for the header alone, some for the content type. */
function inferAnswer({ body, rest, hasViews, headerLength }: EncodedInfer, discard: () => void): HttpResponse {
  if (headerLength === undefined) return rest ? written([body, ...rest]) : whole(body)
  const headers = { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(headerLength) }
  if (!rest) return { status: 200, headers, body }
  return hasViews ? { status: 200, headers, body, rest, discard } : { status: 200, headers, body, rest }
}

/** Open Inference Protocol v2: health, metadata and inference. */

import { isModelmountError } from '../../../errors.ts'
import type { HttpResponse } from '../../../http/types.ts'
import { discard } from '../../../tensor/index.ts'
import { VERSION } from '../../../version.ts'
import type { Result, Steps } from '../../codec/index.ts'
import type { Mount } from '../../dialect.ts'
import { checkInferenceType, headerLengthOf } from '../../media-type.ts'
import { type Operation, WHOLE } from '../../operation.ts'
import { json, whole, written } from '../../response.ts'
import type { Backend, Route, Visit } from '../../route.ts'
import { INFER as DECODER } from '../decoders.ts'
import type { InferRequest } from '../infer-request.ts'
import { encodeModelMetadata, encodeServerMetadata } from '../metadata.ts'
import { type EncodedInfer, encodeInfer, encodeRaw, encodeShort } from '../response.ts'
import { scheduleOf } from '../schedule.ts'
import { sequenceOf } from '../sequence.ts'

/** The start of every path about one model. */
export const MODEL = '/v2/models/(?<model>[^/]+)(?:/versions/(?<version>[^/]+))?'

/** @param extensions as the server lists them; read when it is asked */
export function inference(backend: Backend, mount: Mount<unknown>, extensions: readonly string[]): readonly Route[] {
  function live(): HttpResponse {
    const { live } = backend.health()
    return json(live ? 200 : 503, { live })
  }

  function ready(): HttpResponse {
    const { ready } = backend.health()
    return json(ready ? 200 : 503, { ready })
  }

  function modelReady({ params: { model: name = '', version } }: Visit): HttpResponse {
    try {
      const ready = backend.resolve(name, version).available
      return json(ready ? 200 : 503, { name, ready })
    } catch (error) {
      if (isModelmountError(error) && error.status === 503) return json(503, { name, ready: false })
      throw error
    }
  }

  function server(): HttpResponse {
    const keepsState = backend.known().some(({ config, state }) => config.sequences !== undefined && state === 'ready')
    const names = extensions.flatMap((name) => (keepsState && name === 'classification' ? [name, 'sequence'] : [name]))
    return json(200, encodeServerMetadata(backend.serverName, VERSION, names))
  }

  function metadata({ params: { model = '', version } }: Visit): HttpResponse {
    const info = backend.info(backend.resolve(model, version))
    return json(200, encodeModelMetadata(info, version === undefined ? backend.versions(model) : [version]))
  }

  return [
    { method: 'POST', path: new RegExp(`^${MODEL}/infer$`), action: 'infer', handle: mount.infer(INFER), runsModel: true },
    { method: 'GET', path: '/v2', action: 'list', handle: server },
    { method: 'GET', path: '/v2/', action: 'list', handle: server },
    { method: 'GET', path: '/v2/health/live', action: 'list', handle: live },
    { method: 'GET', path: '/v2/health/ready', action: 'list', handle: ready },
    { method: 'GET', path: '/v2/models', action: 'list', handle: () => json(200, { models: backend.modelNames() }) },
    { method: 'GET', path: new RegExp(`^${MODEL}/ready$`), action: 'read', handle: modelReady },
    { method: 'GET', path: new RegExp(`^${MODEL}$`), action: 'read', handle: metadata },
  ]
}

const INFER: Operation<InferRequest> = {
  decoder: DECODER,
  packs: true,
  schedule: ({ parameters }) => scheduleOf(parameters),
  sequence: ({ parameters }, keepsState) => sequenceOf(parameters, keepsState),
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
function inferAnswer({ body, moreChunks, hasViews, headerLength }: EncodedInfer, discard: () => void): HttpResponse {
  if (headerLength === undefined) return moreChunks ? written([body, ...moreChunks]) : whole(body)
  const headers = { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(headerLength) }
  if (!moreChunks) return { status: 200, headers, body }
  return hasViews ? { status: 200, headers, body, moreChunks, discard } : { status: 200, headers, body, moreChunks }
}

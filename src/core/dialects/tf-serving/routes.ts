/** Routes of TensorFlow Serving's REST API. */

import { ModelmountError } from '../../errors.ts'
import type { HttpResponse } from '../../http/types.ts'
import type { Served } from '../../predict/served.ts'
import type { Steps } from '../codec/index.ts'
import type { Mount } from '../dialect.ts'
import { refuseParsedForm } from '../media-type.ts'
import { type Operation, WHOLE } from '../operation.ts'
import { json, written } from '../response.ts'
import type { Backend, Route, Visit } from '../route.ts'
import { encodeTfMetadata, encodeTfStatus } from './metadata.ts'
import { PREDICT as DECODER, type TfPredictRequest } from './request.ts'
import { encodeTfPredict } from './response.ts'

/** Names are matched as TensorFlow Serving matches them: any case of the fixed words, no colon in a name. */
const MODEL = '/v1/models/(?<model>[^/:]+)(?:/versions/(?<version>[^/:]+)|/labels/(?<label>[^/:]+))?'
const BOTH =
  /^\/v1\/models\/[^/:]+(?:\/versions\/[^/:]+\/labels\/[^/:]+|\/labels\/[^/:]+\/versions\/[^/:]+)(?:\/metadata|:\w+)?$/i

const pattern = (end: string): RegExp => new RegExp(`^${MODEL}${end}$`, 'i')

const PREDICT: Operation<TfPredictRequest> = {
  decoder: DECODER,
  packs: true,
  read(request) {
    // The content type says nothing: curl calls the documented example a form.
    refuseParsedForm(request)
    return WHOLE
  },
  *encode(result, { form }): Steps<HttpResponse> {
    return written(yield* encodeTfPredict(result, form))
  },
}

export function routes(backend: Backend, mount: Mount<object>): readonly Route[] {
  if (!mount.show.includes('inference')) return []

  const versionOf = ({ model = '', version, label }: Visit['params']): string | undefined =>
    label === undefined ? version : backend.labelled(model, label)

  const modelOf = (params: Visit['params']): Served => backend.resolve(params.model ?? '', versionOf(params))

  function status({ params }: Visit): HttpResponse {
    return json(200, encodeTfStatus(backend.known(params.model ?? '', versionOf(params)).map((model) => backend.info(model))))
  }

  function both(): never {
    throw new ModelmountError('REQUEST_INVALID', 'a version and a label exclude each other', { details: { field: 'path' } })
  }

  function unserved(): never {
    throw new ModelmountError('REQUEST_INVALID', 'classify and regress take features of TensorFlow models; use :predict', {
      details: { field: 'path', expected: ':predict' },
    })
  }

  return [
    { method: 'POST', path: pattern(':predict'), action: 'infer', handle: mount.infer(PREDICT), runsModel: true },
    { method: 'POST', path: pattern(':(?:classify|regress)'), action: 'infer', handle: unserved },
    { method: 'GET', path: /^\/v1\/models\/?$/i, action: 'list', handle: () => json(200, { models: backend.modelNames() }) },
    { method: 'GET', path: pattern(''), action: 'read', handle: status },
    {
      method: 'GET',
      path: pattern('/metadata'),
      action: 'read',
      handle: ({ params }) => json(200, encodeTfMetadata(backend.info(modelOf(params)))),
    },
    { method: 'GET', path: BOTH, action: 'read', handle: both },
    { method: 'POST', path: BOTH, action: 'read', handle: both },
  ]
}

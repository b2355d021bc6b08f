/** TensorFlow Serving's REST API, which KServe's v1 protocol is nearly equal to. */

import { ModelmountError } from '../../errors.ts'
import { type Operation, WHOLE } from '../../http/codec.ts'
import { inference } from '../../http/inference.ts'
import { refuseParsedForm } from '../../http/media-type.ts'
import { type Call, json, type Route, shows, type TableMaker, written } from '../../http/route.ts'
import type { HttpResponse } from '../../http/types.ts'
import type { Served } from '../../predict/served.ts'
import type { Steps } from '../codec/index.ts'
import { encodeTfError, encodeTfMetadata, encodeTfStatus } from './metadata.ts'
import type { TfPredictRequest } from './request.ts'
import { encodeTfPredict } from './response.ts'

/** Names are matched as TensorFlow Serving matches them: any case of the fixed words, no colon in a name. */
const MODEL = '/v1/models/(?<model>[^/:]+)(?:/versions/(?<version>[^/:]+)|/labels/(?<label>[^/:]+))?'
const BOTH =
  /^\/v1\/models\/[^/:]+(?:\/versions\/[^/:]+\/labels\/[^/:]+|\/labels\/[^/:]+\/versions\/[^/:]+)(?:\/metadata|:\w+)?$/i

const pattern = (end: string): RegExp => new RegExp(`^${MODEL}${end}$`, 'i')

const PREDICT: Operation<TfPredictRequest> = {
  kind: 'tfPredict',
  bodySays: false,
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

export const tfServing: TableMaker = (deps, mount) => {
  if (!shows(mount.config, 'tf-serving')) return undefined

  const versionOf = ({ model = '', version, label }: Call['params']): string | undefined =>
    label === undefined ? version : deps.labelled(model, label)

  const modelOf = (params: Call['params']): Served => deps.resolve(params.model ?? '', versionOf(params))

  function status({ params }: Call): HttpResponse {
    return json(200, encodeTfStatus(deps.known(params.model ?? '', versionOf(params)).map((model) => deps.info(model))))
  }

  function both(): never {
    throw new ModelmountError('REQUEST_INVALID', 'a version and a label exclude each other', { details: { field: 'path' } })
  }

  function unserved(): never {
    throw new ModelmountError('REQUEST_INVALID', 'classify and regress take features of TensorFlow models; use :predict', {
      details: { field: 'path', expected: ':predict' },
    })
  }

  const routes: Route[] = [
    { method: 'POST', path: pattern(':predict'), action: 'infer', handle: inference(deps, mount, PREDICT), runsModel: true },
    { method: 'POST', path: pattern(':(?:classify|regress)'), action: 'infer', handle: unserved },
    { method: 'GET', path: /^\/v1\/models\/?$/i, action: 'list', handle: () => json(200, { models: deps.modelNames() }) },
    { method: 'GET', path: pattern(''), action: 'read', handle: status },
    {
      method: 'GET',
      path: pattern('/metadata'),
      action: 'read',
      handle: ({ params }) => json(200, encodeTfMetadata(deps.info(modelOf(params)))),
    },
    { method: 'GET', path: BOTH, action: 'read', handle: both },
    { method: 'POST', path: BOTH, action: 'read', handle: both },
  ]

  return { owns: (path) => /^\/v1\/models(?:$|\/)/i.test(path), routes, encodeError: encodeTfError }
}

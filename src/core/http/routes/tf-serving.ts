/** TensorFlow Serving's REST API, which KServe's v1 protocol is nearly equal to. */

import type { Body } from '../../decoding/index.ts'
import { ModelmountError } from '../../errors.ts'
import { inTurns } from '../../host/turns.ts'
import type { Model } from '../../model/model.ts'
import { encodeTfError, encodeTfMetadata, encodeTfPredict, encodeTfStatus } from '../../protocol/index.ts'
import { discard } from '../../tensor/index.ts'
import { packed } from '../content-coding.ts'
import { refuseParsedForm } from '../media-type.ts'
import { received } from '../received.ts'
import { type Call, inference, json, type Route, type TableMaker, written } from '../route.ts'
import { readBy, termsOf } from '../terms.ts'
import type { HttpResponse } from '../types.ts'

/** Names are matched as TensorFlow Serving matches them: any case of the fixed words, no colon in a name. */
const MODEL = '/v1/models/(?<model>[^/:]+)(?:/versions/(?<version>[^/:]+)|/labels/(?<label>[^/:]+))?'
const BOTH =
  /^\/v1\/models\/[^/:]+(?:\/versions\/[^/:]+\/labels\/[^/:]+|\/labels\/[^/:]+\/versions\/[^/:]+)(?:\/metadata|:\w+)?$/i

const pattern = (end: string): RegExp => new RegExp(`^${MODEL}${end}$`, 'i')

export const tfServing: TableMaker = (deps, { config }) => {
  if (!config.dialects.includes('tf-serving')) return undefined

  const versionOf = ({ model = '', version, label }: Call['params']): string | undefined =>
    label === undefined ? version : deps.labelled(model, label)

  const modelOf = (params: Call['params']): Model => deps.resolve(params.model ?? '', versionOf(params))

  async function predict({ request, params }: Call, at: number): Promise<HttpResponse> {
    const model = modelOf(params)
    // The content type says nothing: curl calls the documented example a form.
    refuseParsedForm(request)
    const limit = Math.min(deps.maxBodyBytes, deps.maxJsonBytes)
    const opts = { maxElements: model.config.maxElements, signal: request.signal, deadline: readBy(request, model, at, false) }
    const decode = (body: Body) => deps.decode('tfPredict', body, model.signature, opts)
    const { inputs, form } = await received(request, limit, decode)
    const call = { ...termsOf(request, model, config, deps.now() - at), id: '', label: params.label }
    const result = await deps.run(model, inputs, call, request.headers)
    const pieces = await inTurns(encodeTfPredict(result, form))
    discard(result.outputs)
    return packed(written(pieces), request)
  }

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
    { method: 'POST', path: pattern(':predict'), handle: inference(deps, predict), runsModel: true },
    { method: 'POST', path: pattern(':(?:classify|regress)'), handle: unserved },
    { method: 'GET', path: /^\/v1\/models\/?$/i, handle: () => json(200, { models: deps.modelNames() }) },
    { method: 'GET', path: pattern(''), handle: status },
    {
      method: 'GET',
      path: pattern('/metadata'),
      handle: ({ params }) => json(200, encodeTfMetadata(deps.info(modelOf(params)))),
    },
    { method: 'GET', path: BOTH, handle: both },
    { method: 'POST', path: BOTH, handle: both },
  ]

  return { owns: (path) => /^\/v1\/models(?:$|\/)/i.test(path), routes, encodeError: encodeTfError }
}

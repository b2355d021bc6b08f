/** Triton's generate extension, which its metadata does not list. */

import type { Body } from '../../decoding/index.ts'
import { inTurns } from '../../host/turns.ts'
import { encodeGenerate, encodeGenerateEvent, sequenceOf } from '../../protocol/index.ts'
import { discard } from '../../tensor/index.ts'
import { packed } from '../content-coding.ts'
import { checkInferenceType } from '../media-type.ts'
import { received } from '../received.ts'
import { type Call, inference, type TableMaker, written } from '../route.ts'
import { readBy, termsOf } from '../terms.ts'
import type { HttpResponse } from '../types.ts'
import { isOpenInference, MODEL } from './open-inference.ts'

export const generate: TableMaker = (deps, { config }) => {
  if (!config.dialects.includes('open-inference')) return undefined

  async function answer(
    { request, params: { model: name = '', version } }: Call,
    at: number,
    encode: typeof encodeGenerate,
  ): Promise<readonly Uint8Array[]> {
    const model = deps.resolve(name, version)
    checkInferenceType(request)
    const limit = Math.min(deps.maxBodyBytes, deps.maxJsonBytes)
    const opts = { maxElements: model.config.maxElements, signal: request.signal, deadline: readBy(request, model, at, true) }
    const decode = (body: Body) => deps.decode('generate', body, model.signature, opts)
    const { id, inputs, parameters } = await received(request, limit, decode)
    const sequence = sequenceOf(parameters, model.config.sequences !== undefined)
    const call = { ...termsOf(request, model, config, deps.now() - at, parameters), id: id ?? '', version, sequence }
    const result = await deps.run(model, inputs, call, request.headers)
    const pieces = await inTurns(encode(result, id))
    discard(result.outputs)
    return pieces
  }

  /** No model of ours answers more than once, so a stream is one event; what fails, fails before it and is plain JSON. */
  const stream = async (call: Call, at: number): Promise<HttpResponse> =>
    written(await answer(call, at, encodeGenerateEvent), 'text/event-stream; charset=utf-8')

  return {
    owns: isOpenInference,
    routes: [
      {
        method: 'POST',
        path: new RegExp(`^${MODEL}/generate$`),
        handle: inference(deps, async (call, at) => packed(written(await answer(call, at, encodeGenerate)), call.request)),
        runsModel: true,
      },
      {
        method: 'POST',
        path: new RegExp(`^${MODEL}/generate_stream$`),
        handle: inference(deps, stream),
        runsModel: true,
      },
    ],
  }
}

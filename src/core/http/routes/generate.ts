/** Triton's generate extension, which its metadata does not list. */

import { asEvent, decodeGenerate, encodeGenerate, scheduleOf, sequenceOf } from '../../protocol/index.ts'
import { discard } from '../../tensor/index.ts'
import type { HttpResponse } from '../../types.ts'
import { packed, unpacked } from '../content-coding.ts'
import { checkJsonType } from '../media-type.ts'
import { type Call, inference, json, type TableMaker } from '../route.ts'
import { earlier, timeoutOf } from '../timeout.ts'
import { isOpenInference, MODEL } from './open-inference.ts'

export const generate: TableMaker = (deps, { config }) => {
  if (!config.dialects.includes('open-inference')) return undefined

  async function answer({ request, params: { model: name = '', version } }: Call): Promise<Uint8Array> {
    const model = deps.resolve(name, version)
    checkJsonType(request)
    const body = await unpacked(request, deps.maxBodyBytes)
    const { id, inputs, parameters } = decodeGenerate(body, model.signature, model.config)
    const { priority, timeoutMs } = scheduleOf(parameters)
    const sequence = sequenceOf(parameters, model.config.sequences !== undefined)
    const timeout = earlier(timeoutMs, timeoutOf(request))
    const call = { id: id ?? '', version, signal: request.signal, priority, timeoutMs: timeout, sequence }
    const result = await deps.run(model, inputs, call, request.headers)
    const encoded = encodeGenerate(result, id)
    discard(result.outputs)
    return encoded
  }

  /** No model of ours answers more than once, so a stream is one event; what fails, fails before it and is plain JSON. */
  const stream = async (call: Call): Promise<HttpResponse> => ({
    status: 200,
    headers: { 'content-type': 'text/event-stream; charset=utf-8' },
    body: asEvent(await answer(call)),
  })

  return {
    owns: isOpenInference,
    routes: [
      {
        method: 'POST',
        path: new RegExp(`^${MODEL}/generate$`),
        handle: inference(deps, async (call) => packed(json(200, await answer(call)), call.request)),
      },
      { method: 'POST', path: new RegExp(`^${MODEL}/generate_stream$`), handle: inference(deps, stream) },
    ],
  }
}

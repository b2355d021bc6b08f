/** Triton's generate extension, which its metadata does not list. */

import { type Operation, WHOLE } from '../../../http/codec.ts'
import { inference } from '../../../http/inference.ts'
import { checkInferenceType } from '../../../http/media-type.ts'
import { shows, type TableMaker, written } from '../../../http/route.ts'
import type { HttpResponse } from '../../../http/types.ts'
import type { Steps } from '../../codec/index.ts'
import { encodeGenerate, encodeGenerateEvent, type GenerateRequest } from '../generate.ts'
import { isOpenInference, MODEL } from './inference.ts'

const operation = (encode: typeof encodeGenerate, packs: boolean, contentType?: string): Operation<GenerateRequest> => ({
  kind: 'generate',
  bodySays: true,
  packs,
  read(request) {
    checkInferenceType(request)
    return WHOLE
  },
  *encode(result, { id }): Steps<HttpResponse> {
    return written(yield* encode(result, id), contentType)
  },
})

const WHOLE_ANSWER = operation(encodeGenerate, true)
/** No model of ours answers more than once, so a stream is one event; what fails, fails before it and is plain JSON. */
const EVENTS = operation(encodeGenerateEvent, false, 'text/event-stream; charset=utf-8')

export const generate: TableMaker = (deps, mount) => {
  if (!shows(mount.config, 'open-inference')) return undefined
  const route = (end: string, of: Operation<GenerateRequest>) =>
    ({
      method: 'POST',
      path: new RegExp(`^${MODEL}/${end}$`),
      action: 'infer',
      handle: inference(deps, mount, of),
      runsModel: true,
    }) as const
  return { owns: isOpenInference, routes: [route('generate', WHOLE_ANSWER), route('generate_stream', EVENTS)] }
}

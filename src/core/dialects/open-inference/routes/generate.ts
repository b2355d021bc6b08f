/** Triton's generate extension, which its metadata does not list. */

import type { HttpResponse } from '../../../http/types.ts'
import type { Steps } from '../../codec/index.ts'
import type { Mount } from '../../dialect.ts'
import { checkInferenceType } from '../../media-type.ts'
import { type Operation, WHOLE } from '../../operation.ts'
import { written } from '../../response.ts'
import type { Route } from '../../route.ts'
import { GENERATE } from '../decoders.ts'
import { encodeGenerate, encodeGenerateEvent, type GenerateRequest } from '../generate.ts'
import { scheduleOf } from '../schedule.ts'
import { sequenceOf } from '../sequence.ts'
import { MODEL } from './inference.ts'

const operation = (encode: typeof encodeGenerate, packs: boolean, contentType?: string): Operation<GenerateRequest> => ({
  decoder: GENERATE,
  packs,
  read(request) {
    checkInferenceType(request)
    return WHOLE
  },
  schedule: ({ parameters }) => scheduleOf(parameters),
  sequence: ({ parameters }, keepsState) => sequenceOf(parameters, keepsState),
  *encode(result, { id }): Steps<HttpResponse> {
    return written(yield* encode(result, id), contentType)
  },
})

const WHOLE_ANSWER = operation(encodeGenerate, true)
/** No model of ours answers more than once, so a stream is one event. A failure comes before it and is plain JSON. */
const EVENTS = operation(encodeGenerateEvent, false, 'text/event-stream; charset=utf-8')

export function generate(mount: Mount<unknown>): readonly Route[] {
  const route = (end: string, of: Operation<GenerateRequest>): Route => ({
    method: 'POST',
    path: new RegExp(`^${MODEL}/${end}$`),
    action: 'infer',
    handle: mount.infer(of),
    runsModel: true,
  })
  return [route('generate', WHOLE_ANSWER), route('generate_stream', EVENTS)]
}

/** The way of a request through a dialect: its body becomes inputs, and the outputs become an answer. One function for every dialect. */

import type { Body } from '../decoding/index.ts'
import type { Asked, Operation } from '../dialects/index.ts'
import { inTurns } from '../host/turns.ts'
import { servedOf } from '../predict/adopt.ts'
import type { Answer, Call, Codec, Predict } from '../predict/call.ts'
import { type NewCall, NO_FETCHES } from '../predict/narrow.ts'
import type { Served } from '../predict/served.ts'
import { discard, freeUnused } from '../tensor/index.ts'
import { packed } from './content-coding.ts'
import type { MountConfig } from './options.ts'
import { received } from './received.ts'
import type { HttpDeps } from './route.ts'
import type { ServerTiming } from './server-timing.ts'
import { readBy, termsOf } from './terms.ts'
import type { HttpRequest, HttpResponse } from './types.ts'

/** The terms of a mount for requests that run a model. */
export interface MountTerms {
  readonly config: Pick<MountConfig, 'allowPriority'>
  /** Notes the times of a run, for mounts that say so. */
  readonly timing?: Pick<ServerTiming, 'note'> | undefined
}

/** Makes the way of one operation on one mount. */
export function createCodec<A extends Asked>(
  { decoder, packs, read, schedule, sequence, encode }: Operation<A>,
  deps: Pick<HttpDeps, 'target' | 'decode' | 'now' | 'maxBodyBytes' | 'maxJsonBytes' | 'pipeline'>,
  { config, timing }: MountTerms,
): Codec {
  const bodySays = schedule !== undefined
  const { isExtended } = deps.pipeline
  const longest = Math.min(deps.maxBodyBytes, deps.maxJsonBytes)

  /** One function, because each promise on the way costs a microsecond. */
  async function through(call: Call, next: Predict): Promise<Answer> {
    const target = call.servable ? servedOf(call.servable) : deps.target(call)
    const request = call.request as HttpRequest
    const { headerLength, mediaType } = read(request)
    const { signature } = target
    const { maxElements } = target.config
    // Fields by name: a spread behind others costs a microsecond, for every request.
    const opts = {
      headerLength,
      mediaType,
      maxElements,
      buffers: target.buffers,
      signal: request.signal,
      deadline: readBy(request, target, call.at, bodySays),
    }
    const limit = headerLength === undefined ? longest : deps.maxBodyBytes
    const arriving = received(request, limit, (body: Body) => deps.decode(decoder, body, signature, opts))
    const isLater = arriving instanceof Promise
    const asked = isLater ? await arriving : arriving
    if (request.given) freeUnused(request.given, asked.inputs)
    const waitedMs = isLater ? deps.now() - call.at : 0
    const terms = termsOf(request, target, config, waitedMs, schedule?.(asked))
    const place = sequence?.(asked, target.config.sequences !== undefined)
    const ready = asTensors(call, target, asked, terms, place, deps.now())
    const answer = await next(ready)
    timing?.note(request.headers, ready, answer)
    const served = (ready.account.progress.servable ?? target) as Served
    const result = { model: served.name, version: served.version, outputs: answer.outputs }
    const written = encode(result, asked, served)
    const encoded = 'status' in written ? written : inTurns(written)
    const whole = encoded instanceof Promise ? await encoded : encoded
    const response = isExtended ? kept(whole) : whole
    // The outputs are this request's alone, also where there is a cache, unless an extension has given them.
    if (!isExtended && !response.discard) discard(answer.outputs)
    const sent = packs ? packed(response, request) : response
    return withResponse(answer, sent instanceof Promise ? await sent : sent)
  }

  return { through }
}

/** The same call with inputs. Field by field: Node 20 takes microseconds to spread an object of this size and add to it. */
function asTensors(
  call: Call,
  target: Served,
  { inputs, id, outputs }: Asked,
  terms: ReturnType<typeof termsOf>,
  sequence: Call['sequence'],
  at: number,
): NewCall {
  return {
    model: call.model,
    version: call.version,
    label: call.label,
    id,
    outputs,
    shareable: call.shareable,
    cacheable: call.cacheable,
    transfer: call.transfer,
    priority: terms.priority,
    sequence,
    timeoutMs: terms.timeoutMs,
    at,
    signal: call.signal,
    connection: call.connection,
    principal: call.principal,
    tenant: call.tenant,
    request: call.request,
    codec: call.codec,
    decoded: { inputs, of: target, by: call },
    inputs,
    servable: call.servable ?? target,
    fetches: NO_FETCHES,
    trace: undefined,
    account: call.account,
  }
}

/** An answer whose tensors stay. */
function kept({ status, headers, body, moreChunks }: HttpResponse): HttpResponse {
  return moreChunks ? { status, headers, body, moreChunks } : { status, headers, body }
}

const withResponse = (answer: Answer, response: HttpResponse): Answer => ({
  outputs: answer.outputs,
  queueMs: answer.queueMs,
  inferMs: answer.inferMs,
  batchSize: answer.batchSize,
  endedAt: answer.endedAt,
  ageMs: answer.ageMs,
  run: answer.run,
  stream: answer.stream,
  response,
})

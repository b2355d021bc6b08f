/** The way of a request through a dialect: its body becomes inputs, and the outputs become an answer. One function for every dialect. */

import type { Body, Kind } from '../decoding/index.ts'
import type { Parameters, Result, Steps } from '../dialects/codec/index.ts'
import { sequenceOf } from '../dialects/index.ts'
import { inTurns } from '../host/turns.ts'
import { servedOf } from '../predict/adopt.ts'
import type { Answer, Call, Codec, Predict, Tensors } from '../predict/call.ts'
import type { Served } from '../predict/served.ts'
import { discard, freeUnused } from '../tensor/index.ts'
import { packed } from './content-coding.ts'
import { received } from './received.ts'
import type { HttpDeps, MountContext } from './route.ts'
import type { ServerTiming } from './server-timing.ts'
import { readBy, termsOf } from './terms.ts'
import type { HttpRequest, HttpResponse } from './types.ts'

/** A decoded body, in the words that all dialects share. */
export interface Asked {
  readonly inputs: Tensors
  /** The client's own, if it sent one. */
  readonly id?: string | undefined
  readonly outputs?: readonly string[] | undefined
  /** A dialect without any has no word for deadlines, priorities and sequences. */
  readonly parameters?: Readonly<Parameters> | undefined
}

/** One kind of request that runs a model. */
export interface Operation<A extends Asked> {
  /** Which decoder reads the body. */
  readonly kind: Kind
  /** Whether its body may name a deadline. */
  readonly bodySays: boolean
  /** Whether the answer may be compressed. */
  readonly packs: boolean
  /**
   * Reads the headers that describe the body.
   * @throws ModelmountError `MEDIA_TYPE_UNSUPPORTED`, `REQUEST_INVALID`
   */
  read(request: HttpRequest): BodyForm
  /** An answer with views of the outputs' memory has a `discard`; all others are copies. */
  encode(result: Result, asked: A, served: Served): HttpResponse | Steps<HttpResponse>
}

export interface BodyForm {
  /** Bytes of JSON before tensors in binary. */
  readonly headerLength?: number | undefined
  readonly mediaType?: 'json' | 'csv' | undefined
}

/** A body that is JSON as a whole. */
export const WHOLE: BodyForm = { headerLength: undefined }

/** Makes the way of one operation on one mount. */
export function createCodec<A extends Asked>(
  { kind, bodySays, packs, read, encode }: Operation<A>,
  deps: Pick<HttpDeps, 'target' | 'decode' | 'now' | 'ledger' | 'maxBodyBytes' | 'maxJsonBytes'>,
  { config }: Pick<MountContext, 'config'>,
  timing: Pick<ServerTiming, 'note'> | undefined,
): Codec {
  const { ledger } = deps
  const longest = Math.min(deps.maxBodyBytes, deps.maxJsonBytes)

  /** One function, because each promise on the way costs a microsecond. */
  async function through(call: Call, next: Predict): Promise<Answer> {
    let reading = call
    let isCounted = false
    try {
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
        room: target.buffers,
        signal: request.signal,
        deadline: readBy(request, target, call.at, bodySays),
      }
      const limit = headerLength === undefined ? longest : deps.maxBodyBytes
      const arriving = received(request, limit, (body: Body) => deps.decode(kind, body, signature, opts))
      const isLater = arriving instanceof Promise
      const asked = (isLater ? await arriving : arriving) as Asked as A
      if (request.given) freeUnused(request.given, asked.inputs)
      const waitedMs = isLater ? deps.now() - call.at : 0
      const ready = asTensors(call, target, asked, termsOf(request, target, config, waitedMs, asked.parameters), deps.now())
      reading = ready
      const answer = await next(ready)
      ledger.succeeded(ready, answer)
      isCounted = true
      timing?.note(request.headers, ready, answer)
      const served = (ready.account.servable ?? target) as Served
      const result = { model: served.name, version: served.version, outputs: answer.outputs }
      const written = encode(result, asked, served)
      const encoded = 'status' in written ? written : inTurns(written)
      const response = encoded instanceof Promise ? await encoded : encoded
      // The outputs are this request's alone, also where there is a cache.
      if (!response.discard) discard(answer.outputs)
      const sent = packs ? packed(response, request) : response
      return withResponse(answer, sent instanceof Promise ? await sent : sent)
    } catch (error) {
      if (isCounted) ledger.refused(call, error)
      else ledger.failed(reading, error)
      throw error
    }
  }

  return { through }
}

/** The same call with inputs. Field by field: Node 20 takes microseconds to spread an object of this size and add to it. */
function asTensors(call: Call, target: Served, asked: Asked, terms: ReturnType<typeof termsOf>, at: number): Call {
  const { inputs, parameters } = asked
  return {
    model: call.model,
    version: call.version,
    label: call.label,
    id: asked.id,
    outputs: asked.outputs,
    shareable: call.shareable,
    cacheable: call.cacheable,
    priority: terms.priority,
    sequence: parameters && sequenceOf(parameters, target.config.sequences !== undefined),
    timeoutMs: terms.timeoutMs,
    at,
    signal: call.signal,
    connection: call.connection,
    principal: call.principal,
    tenant: call.tenant,
    request: call.request,
    codec: call.codec,
    decoded: { inputs, of: target },
    inputs,
    servable: call.servable ?? target,
    fetches: call.fetches,
    trace: undefined,
    account: call.account,
  }
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

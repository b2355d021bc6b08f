/** The front door of predictions over HTTP. */

import type { Asked, Call, Handler, Operation } from '../dialects/index.ts'
import type { Codec, Call as PredictCall } from '../predict/call.ts'
import { NO_FETCHES } from '../predict/front.ts'
import { createCodec, type MountTerms } from './codec.ts'
import type { HttpDeps } from './route.ts'
import type { HttpRequest } from './types.ts'

/**
 * A route that runs a model. Its pattern names the model `model`, the version `version` and the label `label`.
 * @param target names the model where the path names none
 */
export function inference<A extends Asked>(
  deps: HttpDeps,
  mount: MountTerms,
  operation: Operation<A>,
  target?: () => Call['params'],
): Handler {
  const codec = createCodec(operation, deps, mount)
  return ({ request, params }) => deps.predict(callOf(request, target ? target() : params, codec, deps.now()))
}

const NO_INPUTS = Object.freeze({})

function callOf(request: HttpRequest, { model = '', version, label }: Call['params'], codec: Codec, at: number): PredictCall {
  const { identity } = request
  return {
    model,
    version,
    label,
    id: undefined,
    outputs: undefined,
    shareable: true,
    cacheable: true,
    priority: undefined,
    sequence: undefined,
    timeoutMs: undefined,
    at,
    signal: request.signal,
    connection: request.connection,
    principal: identity,
    tenant: identity?.tenant,
    request,
    codec,
    decoded: undefined,
    inputs: NO_INPUTS,
    servable: undefined,
    fetches: NO_FETCHES,
    trace: undefined,
    account: { servable: undefined, trace: undefined },
  }
}

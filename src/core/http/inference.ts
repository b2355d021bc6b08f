/** The front door of predictions over HTTP. */

import type { Asked, Operation, Visit } from '../dialects/index.ts'
import type { Codec } from '../predict/call.ts'
import { type NewCall, NO_FETCHES, newAccount } from '../predict/narrow.ts'
import { createCodec, type MountTerms } from './codec.ts'
import type { HttpDeps } from './route.ts'
import type { HttpRequest } from './types.ts'

/**
 * A route that runs a model. Its pattern names the model `model`, the version `version` and the label `label`. The returned function never throws.
 * @param target names the model where the path names none
 */
export function inference<A extends Asked>(
  deps: HttpDeps,
  mount: MountTerms,
  operation: Operation<A>,
  target?: () => Visit['params'],
): (visit: Visit) => NewCall {
  const codec = createCodec(operation, deps, mount)
  if (!target) return ({ request, params }) => callOf(request, params, codec, deps.now())
  return ({ request }) => {
    try {
      return callOf(request, target(), codec, deps.now())
    } catch (error) {
      return callOf(request, NOT_NAMED, refusing(error), deps.now())
    }
  }
}

const NOT_NAMED: Visit['params'] = {}
const NO_INPUTS = Object.freeze({})

const refusing = (error: unknown): Codec => ({ through: () => Promise.reject(error) })

function callOf(request: HttpRequest, { model = '', version, label }: Visit['params'], codec: Codec, at: number): NewCall {
  const { identity } = request
  return {
    model,
    version,
    label,
    id: undefined,
    outputs: undefined,
    shareable: true,
    cacheable: true,
    transfer: false,
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
    account: newAccount(),
  }
}

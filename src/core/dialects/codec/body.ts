/** The JSON object that a request body holds. */

import { ModelmountError } from '../../errors.ts'
import { kindOf, typedArrayName } from '../../tensor/index.ts'
import type { ModelSignature } from '../../tensor/types.ts'
import { boundsOf } from './bounds.ts'
import { refuseExcessIn } from './count.ts'
import { isObject, type Json } from './fields.ts'
import { parseBody, takesLong } from './long-integers.ts'

export interface JsonBody {
  readonly json: Json
  /** False when a body parser of the app has read it, and may have rounded long integers. */
  readonly isRaw: boolean
}

/**
 * @param signature of the model that it is for: long integers are kept exact where the model takes any, and nothing is built that no input takes
 * @throws ModelmountError `REQUEST_INVALID`
 */
export function readJsonObject(
  body: unknown,
  signature: ModelSignature,
  { maxElements }: { readonly maxElements: number },
): JsonBody {
  const isRaw = typeof body === 'string' || typedArrayName(body) === 'Uint8Array'
  const bounds = boundsOf(signature, maxElements)
  const json = isRaw ? parseBody(body as Uint8Array | string, { exact: takesLong(signature), bounds }) : body
  if (json === undefined) throw new ModelmountError('REQUEST_INVALID', 'the request body is empty')
  if (!isObject(json)) throw new ModelmountError('REQUEST_INVALID', `the request body must be a JSON object, got ${kindOf(json)}`)
  if (!isRaw) refuseExcessIn(json, bounds)
  return { json, isRaw }
}

/** How a long integer is to be sent, which ends the sentence that refuses one. */
export const bigIntegerAdvice = (isRaw: boolean): string =>
  isRaw
    ? 'write it in plain digits, without fraction or exponent'
    : 'the body was parsed before it got here, so mount the router before express.json()'

/** The JSON object that a request body holds. */

import { ModelmountError } from '../errors.ts'
import { kindOf, typedArrayName } from '../tensor/index.ts'
import type { ModelSignature } from '../types.ts'
import { isObject, type Json } from './fields.ts'
import { parseExactWhere } from './long-integers.ts'

export interface JsonBody {
  readonly json: Json
  /** False when a body parser of the app has read it, and may have rounded long integers. */
  readonly isRaw: boolean
}

/**
 * @param signature of the model that it is for: long integers are kept exact where the model takes any
 * @throws ModelmountError `REQUEST_INVALID`
 */
export function readJsonObject(body: unknown, signature: ModelSignature): JsonBody {
  const isRaw = typeof body === 'string' || typedArrayName(body) === 'Uint8Array'
  const hasLong = (): boolean => signature.inputs.some(({ type }) => type === 'int64' || type === 'uint64')
  const json = isRaw ? parseExactWhere(hasLong, body as Uint8Array | string) : body
  if (json === undefined) throw new ModelmountError('REQUEST_INVALID', 'the request body is empty')
  if (isObject(json)) return { json, isRaw }
  throw new ModelmountError('REQUEST_INVALID', `the request body must be a JSON object, got ${kindOf(json)}`)
}

/** How a long integer is to be sent, which ends the sentence that refuses one. */
export const bigIntegerAdvice = (isRaw: boolean): string =>
  isRaw
    ? 'write it in plain digits, without fraction or exponent'
    : 'the body was parsed before it got here, so mount the router before express.json()'

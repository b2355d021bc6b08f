/** Checks a server's descriptions of itself and its models before they are used. */

import { ModelmountError } from '../core/errors.ts'
import { printable } from '../core/host/printable.ts'
import { fromWireType, MAX_RANK } from '../core/tensor/index.ts'
import type { ModelSignature, ValueInfo } from '../core/tensor/types.ts'
import { isObject, type Json, parseAnswer } from './json.ts'

/** Most bytes of a description, because many are kept. */
export const MOST_DESCRIPTION_BYTES = 4 * 1024 * 1024

const invalid = (what: string, cause?: unknown): ModelmountError =>
  new ModelmountError('REMOTE_FAILED', `the server describes itself in another way than the protocol has it: ${what}`, { cause })

/** @throws ModelmountError `REMOTE_FAILED` */
export const readDescription = (body: Uint8Array): Json => parseAnswer(body, MOST_DESCRIPTION_BYTES, invalid)

/** @throws ModelmountError `REMOTE_FAILED` */
export const readSignature = ({ inputs, outputs }: Json): ModelSignature => ({
  inputs: readValues(inputs, 'inputs'),
  outputs: readValues(outputs, 'outputs'),
})

function readValues(values: unknown, field: string): ValueInfo[] {
  if (!Array.isArray(values)) throw invalid(`${field} of a model must be a list`)
  return values.map((value: unknown, i) => {
    const { name, datatype, shape } = isObject(value) ? value : {}
    if (typeof name !== 'string') throw invalid(`${field}[${i}] has no name`)
    if (typeof datatype !== 'string') throw invalid(`${field}[${i}] has no datatype`)
    return {
      name,
      type: fromWireType(datatype),
      declaredType: printable(datatype),
      dims: readShape(shape, `${field}[${i}].shape`),
    }
  })
}

/** Negative sizes are open; no shape at all is an unknown rank. */
function readShape(shape: unknown, field: string): ValueInfo['dims'] {
  if (shape === undefined || shape === null) return undefined
  if (!Array.isArray(shape)) throw invalid(`${field} is no list`)
  // No request could have more, and messages repeat it.
  if (shape.length > MAX_RANK) throw invalid(`${field} has more than ${MAX_RANK} sizes`)
  return shape.map((dim: unknown) => {
    if (typeof dim !== 'number' || !Number.isSafeInteger(dim)) throw invalid(`${field} has a size that is no integer`)
    return dim < 0 ? null : dim
  })
}

/**
 * The signature that requests are checked against. The protocol cannot express an unknown rank, for which servers write `[-1]`. That is
 * therefore accepted as any shape; the server knows better.
 */
export const checkable = ({ inputs, outputs }: ModelSignature): ModelSignature => ({
  inputs: inputs.map((info) => (info.dims?.length === 1 && info.dims[0] === null ? { ...info, dims: undefined } : info)),
  outputs,
})

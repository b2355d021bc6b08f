/** Reads answers of the Open Inference Protocol. The client trusts no server. */

import { ModelmountError } from '../core/errors.ts'
import { printable } from '../core/host/printable.ts'
import { allocate, checkInputs, fromWireType, product, quote, toWireType } from '../core/tensor/index.ts'
import type { DType, ModelSignature, Tensor } from '../core/tensor/types.ts'
import { isObject, type Json, parseAnswer } from './json.ts'
import { IS_LITTLE_ENDIAN, JSON_LENGTH, swapped } from './wire.ts'

export interface Answer {
  readonly id: string | undefined
  readonly model: string
  readonly version: string
  readonly outputs: Record<string, Tensor>
}

export interface Expected {
  readonly signature: ModelSignature
  /** Names of the requested outputs; none for all. */
  readonly outputs: readonly string[]
  /** Most bytes of JSON that are parsed. */
  readonly maxJsonBytes: number
}

const invalid = (what: string, cause?: unknown): ModelmountError =>
  new ModelmountError('REMOTE_FAILED', `the answer is not one of the Open Inference Protocol: ${what}`, { cause })

const shown = (name: string): string => printable(quote(name))

/**
 * @throws ModelmountError `REMOTE_FAILED` for an answer of another form, and for outputs that were not requested, come twice or have
 *   another type
 */
export function decodeAnswer(body: Uint8Array, jsonLength: string | null, expected: Expected): Answer {
  const length = lengthOf(body, jsonLength)
  const json = parseAnswer(body.subarray(0, length), expected.maxJsonBytes, invalid)
  const { id, model_name: model, outputs: list } = json
  if (!Array.isArray(list) || typeof model !== 'string') throw invalid('it has no model_name and outputs')
  const outputs: Record<string, Tensor> = Object.create(null)
  const refuse = refusalOf(expected)
  let at = length
  for (const output of list) {
    const { name, type, dims, size, data } = readOutput(output)
    const reason = name in outputs ? 'comes twice' : refuse(name, type)
    if (reason !== undefined) throw invalid(`output ${shown(name)} ${reason}`)
    if (size === undefined) {
      outputs[name] = fromJson(name, type, dims, data)
      continue
    }
    if (at + size > body.byteLength) throw invalid(`it ends within ${shown(name)}`)
    outputs[name] = fromBytes(name, type, dims, body.subarray(at, at + size))
    at += size
  }
  if (at !== body.byteLength) throw invalid(`${body.byteLength - at} bytes belong to no output`)
  const missing = expected.outputs.find((name) => !(name in outputs))
  if (missing !== undefined) throw invalid(`output ${shown(missing)} is missing`)
  return { id: typeof id === 'string' ? id : undefined, model, version: versionOf(json), outputs }
}

function lengthOf({ byteLength }: Uint8Array, stated: string | null): number {
  if (stated === null) return byteLength
  const length = /^\d{1,15}$/.test(stated) ? Number(stated) : byteLength + 1
  if (length > byteLength) throw invalid(`${JSON_LENGTH} is ${printable(stated.slice(0, 40))}, the body has ${byteLength} bytes`)
  return length
}

function versionOf({ model_version: version }: Json): string {
  if (typeof version === 'string') return version
  if (typeof version === 'number' || typeof version === 'bigint') return String(version)
  if (version === undefined || version === null) return ''
  throw invalid('its model_version is no string')
}

/** Why an output is refused; a server whose metadata lists no outputs may return any. */
function refusalOf({ signature, outputs }: Expected): (name: string, type: DType) => string | undefined {
  const known = new Map(signature.outputs.map((info) => [info.name, info.type]))
  const asked = outputs.length > 0 ? new Set(outputs) : known.size > 0 ? known : undefined
  return (name, type) => {
    if (asked && !asked.has(name)) return 'was not asked for'
    const told = known.get(name)
    return told === undefined || told === type ? undefined : `is ${toWireType(type)}, and the metadata say ${toWireType(told)}`
  }
}

function readOutput(output: unknown) {
  const { name, datatype, shape, parameters, data } = isObject(output) ? output : {}
  const type = typeof datatype === 'string' ? fromWireType(datatype) : undefined
  if (typeof name !== 'string' || !type || !Array.isArray(shape) || !shape.every(isCount))
    throw invalid('an output has no name, shape and datatype that are known')
  const size = isObject(parameters) ? (parameters.binary_data_size ?? undefined) : undefined
  if (size !== undefined && !isCount(size)) throw invalid(`binary_data_size of ${shown(name)}`)
  return { name, type, dims: shape as readonly number[], size, data }
}

const isCount = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0

/** The server's values are checked like those of a caller. */
function fromJson(name: string, type: DType, dims: readonly number[], data: unknown): Tensor {
  const info = { name, type, declaredType: type, dims }
  const vocabulary = {
    typeName: toWireType,
    pathOf: () => name,
    fields: { type: 'datatype', dims: 'shape', data: 'data' },
    elements: { json: true, bigIntegerAdvice: 'ask for binary data' },
  }
  try {
    const read = checkInputs(
      { inputs: [info], outputs: [] },
      { [name]: { type, dims, data } },
      { maxElements: 2 ** 31, vocabulary },
    )
    return read[name] as Tensor
  } catch (cause) {
    throw invalid(`the data of ${shown(name)} does not fit its shape and datatype`, cause)
  }
}

function fromBytes(name: string, type: DType, dims: readonly number[], bytes: Uint8Array): Tensor {
  const count = product(dims)
  if (type === 'string') return { type, dims, data: stringsFromBytes(name, count, bytes) }
  // Sizes are compared before anything is allocated.
  const size = allocate(type, 0).BYTES_PER_ELEMENT
  if (bytes.byteLength !== count * size) throw invalid(`${shown(name)} has ${bytes.byteLength} bytes instead of ${count * size}`)
  const data = allocate(type, count)
  new Uint8Array(data.buffer).set(IS_LITTLE_ENDIAN ? bytes : swapped(bytes, size))
  return { type, dims, data } as Tensor
}

function stringsFromBytes(name: string, count: number, bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const decoder = new TextDecoder()
  const strings: string[] = []
  let at = 0
  while (at + 4 <= bytes.byteLength && strings.length < count) {
    const end = at + 4 + view.getUint32(at, true)
    if (end > bytes.byteLength) break
    strings.push(decoder.decode(bytes.subarray(at + 4, end)))
    at = end
  }
  if (at !== bytes.byteLength || strings.length !== count) throw invalid(`${shown(name)} does not hold ${count} strings`)
  return strings
}

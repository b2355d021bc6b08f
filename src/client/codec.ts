/** Tensors as the Open Inference Protocol carries them, seen from the client: requests out, answers in. */

import { ModelmountError } from '../core/errors.ts'
import { parseJsonExact } from '../core/protocol/index.ts'
import { allocate, checkInputs, fromHalf, fromWireType, product, toWireType } from '../core/tensor/index.ts'
import type { DType, Tensor } from '../core/types.ts'

/** Header of a body whose tensors follow the JSON as bytes: how long the JSON is. */
export const JSON_LENGTH = 'inference-header-content-length'

export interface EncodedRequest {
  readonly body: Uint8Array<ArrayBuffer>
  readonly headers: Readonly<Record<string, string>>
}

interface Envelope {
  readonly id: string | undefined
  readonly outputs: readonly string[] | undefined
  readonly parameters: Readonly<Record<string, string | number | bigint | boolean>> | undefined
}

/** @param isBinary tensors as bytes behind the JSON, and asked for as such; else in the JSON itself */
export function encodeRequest(inputs: Readonly<Record<string, Tensor>>, envelope: Envelope, isBinary: boolean): EncodedRequest {
  const { id, outputs, parameters } = envelope
  const blobs: Uint8Array[] = []
  const described = Object.entries(inputs).map(([name, tensor]) => {
    const head = `"name":${JSON.stringify(name)},"datatype":"${toWireType(tensor.type)}","shape":[${tensor.dims.join(',')}]`
    if (!isBinary) return `{${head},"data":${toJson(name, tensor)}}`
    const bytes = toBytes(tensor)
    blobs.push(bytes)
    return `{${head},"parameters":{"binary_data_size":${bytes.byteLength}}}`
  })
  const wanted = outputs?.map((name) => (isBinary ? { name, parameters: { binary_data: true } } : { name }))
  const all = isBinary ? { ...parameters, binary_data_output: true } : parameters
  const members = [`"inputs":[${described.join(',')}]`, ...(all ? [`"parameters":${parametersToJson(all)}`] : [])]
  const tail = JSON.stringify({ id, outputs: wanted }).slice(1)
  const json = new TextEncoder().encode(`{${members.join(',')}${tail === '}' ? tail : `,${tail}`}`)
  if (!isBinary) return { body: json, headers: { 'content-type': 'application/json' } }
  const headers = { 'content-type': 'application/octet-stream', [JSON_LENGTH]: String(json.byteLength) }
  return { body: concat([json, ...blobs]), headers }
}

/** Ids of sequences have all their digits. */
const parametersToJson = (parameters: NonNullable<Envelope['parameters']>): string =>
  `{${Object.entries(parameters)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${JSON.stringify(name)}:${typeof value === 'bigint' ? value : JSON.stringify(value)}`)
    .join(',')}}`

function toJson(name: string, tensor: Tensor): string {
  switch (tensor.type) {
    case 'string':
      return JSON.stringify(tensor.data)
    case 'bool':
      return `[${Array.from(tensor.data, (value) => value !== 0).join(',')}]`
    case 'float16':
      return numbers(name, Array.from(tensor.data, fromHalf))
    default:
      return numbers(name, tensor.data)
  }
}

function numbers(name: string, values: ArrayLike<number | bigint>): string {
  const text = Array.from(values, (value) => (Object.is(value, -0) ? '-0' : String(value))).join(',')
  // JSON has no word for them, and servers do not agree on a substitute.
  if (/[NI]/.test(text))
    throw new ModelmountError(
      'INPUT_INVALID',
      `input ${name} has values that JSON cannot carry, and this server takes only JSON`,
      {
        details: { input: name, expected: 'finite numbers' },
      },
    )
  return `[${text}]`
}

const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

function toBytes(tensor: Tensor): Uint8Array {
  if (tensor.type === 'string') return stringsToBytes(tensor.data)
  const { data } = tensor
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  return IS_LITTLE_ENDIAN ? bytes : swapped(bytes, data.BYTES_PER_ELEMENT)
}

/** Each string behind its length in four bytes, the least significant first. */
function stringsToBytes(strings: readonly string[]): Uint8Array {
  const encoder = new TextEncoder()
  const pieces = strings.flatMap((text) => {
    const bytes = encoder.encode(text)
    const length = new Uint8Array(4)
    new DataView(length.buffer).setUint32(0, bytes.byteLength, true)
    return [length, bytes]
  })
  return concat(pieces)
}

function swapped(bytes: Uint8Array, size: number): Uint8Array {
  const result = bytes.slice()
  for (let i = 0; i < result.length; i += size) result.subarray(i, i + size).reverse()
  return result
}

function concat(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0))
  let at = 0
  for (const piece of pieces) {
    result.set(piece, at)
    at += piece.byteLength
  }
  return result
}

// ---------------------------------------------------------------- answers

export interface Answer {
  readonly id: string | undefined
  readonly model: string
  readonly version: string
  readonly outputs: Record<string, Tensor>
}

const invalid = (what: string, cause?: unknown): ModelmountError =>
  new ModelmountError('REMOTE_FAILED', `the answer is not one of the Open Inference Protocol: ${what}`, { cause })

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export function decodeAnswer(body: Uint8Array, jsonLength: string | null): Answer {
  const length = jsonLength === null ? body.byteLength : Number(jsonLength)
  if (!Number.isSafeInteger(length) || length < 0 || length > body.byteLength)
    throw invalid(`${JSON_LENGTH} is ${jsonLength}, the body has ${body.byteLength} bytes`)
  const json = parse(body.subarray(0, length))
  const { id, model_name: model, model_version: version = '', outputs: list } = json
  if (!Array.isArray(list) || typeof model !== 'string') throw invalid('it has no model_name and outputs')
  const outputs: Record<string, Tensor> = Object.create(null)
  let at = length
  for (const output of list) {
    const { name, type, dims, size, data } = readOutput(output)
    if (size === undefined) {
      outputs[name] = fromJson(name, type, dims, data)
      continue
    }
    if (at + size > body.byteLength) throw invalid(`it ends within ${name}`)
    outputs[name] = fromBytes(name, type, dims, body.subarray(at, at + size))
    at += size
  }
  if (at !== body.byteLength) throw invalid(`${body.byteLength - at} bytes belong to no output`)
  return { id: typeof id === 'string' ? id : undefined, model, version: String(version), outputs }
}

function parse(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  let json: unknown
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    json = /"U?INT64"/.test(text) ? parseJsonExact(text) : JSON.parse(text)
  } catch (cause) {
    throw invalid('it is not JSON', cause)
  }
  if (!isObject(json)) throw invalid('it is no object')
  return json
}

function readOutput(output: unknown) {
  const { name, datatype, shape, parameters, data } = isObject(output) ? output : {}
  const type = typeof datatype === 'string' ? fromWireType(datatype) : undefined
  const dims = Array.isArray(shape) ? shape.map(Number) : undefined
  if (typeof name !== 'string' || !type || !dims?.every((dim) => Number.isSafeInteger(dim) && dim >= 0))
    throw invalid('an output has no name, shape and datatype that are known')
  const size = isObject(parameters) ? parameters.binary_data_size : undefined
  if (size !== undefined && !(Number.isSafeInteger(size) && Number(size) >= 0)) throw invalid(`binary_data_size of ${name}`)
  return { name, type, dims: dims as number[], size: size === undefined ? undefined : Number(size), data }
}

/** What a server writes is checked like what a caller gives. */
function fromJson(name: string, type: DType, dims: readonly number[], data: unknown): Tensor {
  const info = { name, type, declaredType: type, dims }
  const dialect = {
    typeName: toWireType,
    pathOf: () => name,
    fields: { type: 'datatype', dims: 'shape', data: 'data' },
    elements: { json: true, bigIntegerAdvice: 'ask for binary data' },
  }
  try {
    const read = checkInputs({ inputs: [info], outputs: [] }, { [name]: { type, dims, data } }, { maxElements: 2 ** 31, dialect })
    return read[name] as Tensor
  } catch (cause) {
    throw invalid(`the data of ${name} does not fit its shape and datatype`, cause)
  }
}

function fromBytes(name: string, type: DType, dims: readonly number[], bytes: Uint8Array): Tensor {
  const count = product(dims)
  if (type === 'string') return { type, dims, data: stringsFromBytes(name, count, bytes) }
  // Sizes are compared before anything is allocated.
  const size = allocate(type, 0).BYTES_PER_ELEMENT
  if (bytes.byteLength !== count * size) throw invalid(`${name} has ${bytes.byteLength} bytes instead of ${count * size}`)
  const data = allocate(type, count)
  new Uint8Array(data.buffer).set(IS_LITTLE_ENDIAN ? bytes : swapped(bytes, size))
  return { type, dims, data } as Tensor
}

function stringsFromBytes(name: string, count: number, bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const decoder = new TextDecoder()
  const strings: string[] = []
  let at = 0
  while (at + 4 <= bytes.byteLength) {
    const end = at + 4 + view.getUint32(at, true)
    if (end > bytes.byteLength) break
    strings.push(decoder.decode(bytes.subarray(at + 4, end)))
    at = end
  }
  if (at !== bytes.byteLength || strings.length !== count) throw invalid(`${name} does not hold ${count} strings`)
  return strings
}

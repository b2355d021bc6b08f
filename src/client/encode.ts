/** Writes requests of the Open Inference Protocol. */

import { ModelmountError } from '../core/errors.ts'
import { codeOf, DTYPES, type Kind, type KindArrays, toWireType } from '../core/tensor/index.ts'
import type { DType, Tensor } from '../core/tensor/types.ts'
import { concat } from './concat.ts'
import { IS_LITTLE_ENDIAN, JSON_LENGTH, swapped } from './wire.ts'

export interface EncodedRequest {
  readonly body: Uint8Array<ArrayBuffer>
  readonly headers: Readonly<Record<string, string>>
}

interface Envelope {
  readonly id: string | undefined
  readonly outputs: readonly string[] | undefined
  readonly parameters: Readonly<Record<string, string | number | bigint | boolean>> | undefined
}

/** @param isBinary tensors as bytes after the JSON, and requested as such; else in the JSON itself */
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

/** Ids of sequences keep all their digits. */
const parametersToJson = (parameters: NonNullable<Envelope['parameters']>): string =>
  `{${Object.entries(parameters)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${JSON.stringify(name)}:${typeof value === 'bigint' ? value : JSON.stringify(value)}`)
    .join(',')}}`

const TEXTS: { readonly [K in Kind]: (data: KindArrays[K], name: string, type: DType) => string } = {
  float: (data, name) => numbers(name, data),
  coded: (data, name, type) => numbers(name, Array.from(data, codeOf(type).toNumber)),
  integer: (data, name) => numbers(name, data),
  long: (data, name) => numbers(name, data),
  bool: (data) => `[${Array.from(data, (value) => value !== 0).join(',')}]`,
  string: (data) => JSON.stringify(data),
}

const toJson = (name: string, { type, data }: Tensor): string => TEXTS[DTYPES[type].kind](data as never, name, type)

/** A missing value is `null` to the servers that take JSON alone (MLServer, KServe), and to modelmount. */
const numberText = (value: number | bigint): string =>
  Number.isNaN(value) ? 'null' : Object.is(value, -0) ? '-0' : String(value)

function numbers(name: string, values: ArrayLike<number | bigint>): string {
  const text = Array.from(values, numberText).join(',')
  // JSON cannot express infinities, and servers do not agree on a substitute.
  if (text.includes('I'))
    throw new ModelmountError(
      'INPUT_INVALID',
      `input ${name} has infinities, which JSON cannot carry, and this server takes only JSON`,
      {
        details: { input: name, expected: 'finite numbers' },
      },
    )
  return `[${text}]`
}

function toBytes(tensor: Tensor): Uint8Array {
  if (tensor.type === 'string') return stringsToBytes(tensor.data)
  const { data } = tensor
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  return IS_LITTLE_ENDIAN ? bytes : swapped(bytes, data.BYTES_PER_ELEMENT)
}

/** Each string follows its length in four bytes, little-endian. */
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

/**
 * Bodies that ask for much more work or memory than their bytes: every hostile value in every place of every dialect that takes JSON or text.
 * A route that takes bodies and has no place here fails the tests.
 */

import { deflateSync, gzipSync } from 'node:zlib'
import { node, value, writeModel } from '../../tools/onnx-writer.mjs'

/** x -> y, the same. */
const identity = (type: Parameters<typeof value>[1], dims: readonly (number | string)[]): Uint8Array =>
  writeModel({
    graph: {
      inputs: [value('x', type, dims)],
      outputs: [value('y', type, dims)],
      nodes: [node('Identity', ['x'], ['y'])],
    },
  })

/** The models that are asked, by the datatype of their input. */
export const MODELS = {
  FP32: identity('float', ['N', 4]),
  FP16: identity('float16', ['N']),
  INT64: identity('int64', ['N']),
  BYTES: identity('string', ['N']),
  BOOL: identity('bool', ['N']),
} as const

export type Datatype = keyof typeof MODELS

export const nameOf = (datatype: Datatype): string => datatype.toLowerCase()

const DEEP = 490
const repeat = (part: string, bytes: number): string => `[${`${part},`.repeat(Math.floor(bytes / (part.length + 1)))}${part}]`

/** Values that are hostile wherever they stand, of about that many bytes. */
const VALUES: Readonly<Record<string, (bytes: number) => string>> = {
  'one-element lists': (bytes) => repeat('[1]', bytes),
  'deep lists, repeated': (bytes) => repeat(`${'['.repeat(DEEP)}1${']'.repeat(DEEP)}`, bytes),
  'a long integer, then lists': (bytes) => `[9007199254740993,${repeat('[1]', bytes).slice(1)}`,
  'empty objects': (bytes) => repeat('{}', bytes),
  'empty lists': (bytes) => repeat('[]', bytes),
  'flat numbers': (bytes) => repeat('1', bytes),
  'flat decimals': (bytes) => repeat('0.12345678', bytes),
  'flat long integers': (bytes) => repeat('9007199254740993', bytes),
  'flat booleans': (bytes) => repeat('true', bytes),
  'flat strings': (bytes) => repeat('"ab"', bytes),
  'different strings': (bytes) => `[${Array.from({ length: bytes / 10 }, (_, i) => `"s${i}"`).join()}]`,
  'one long string': (bytes) => `"${'é'.repeat(bytes / 2)}"`,
  'an escaped string': (bytes) => `"${'\\"'.repeat(bytes / 2)}"`,
  'members of one object': (bytes) => `{${Array.from({ length: bytes / 12 }, (_, i) => `"k${i}":1`).join()}}`,
  'objects of different members': (bytes) => `[${Array.from({ length: bytes / 12 }, (_, i) => `{"k${i}":1}`).join()}]`,
}

/** Where a value can stand. */
interface Place {
  readonly path: (model: string) => string
  readonly text: (value: string, datatype: Datatype) => string
  readonly headers?: (body: string) => Readonly<Record<string, string>>
}

const infer = (model: string): string => `/v2/models/${model}/infer`
const generate = (model: string): string => `/v2/models/${model}/generate`
const stream = (model: string): string => `/v2/models/${model}/generate_stream`
const tf = (model: string): string => `/v1/models/${model}:predict`
const invocations = (): string => '/invocations'
const framed = (body: string): Record<string, string> => ({ 'inference-header-content-length': String(Buffer.byteLength(body)) })

const shapeOf = (value: string, datatype: Datatype): string => {
  const count = value.split(',').length
  return datatype === 'FP32' ? `[${Math.floor(count / 4)},4]` : `[${count}]`
}
const input = (value: string, datatype: Datatype, rest = ''): string =>
  `{"name":"x","datatype":"${datatype}","shape":${shapeOf(value, datatype)},${rest}"data":${value}}`

const PLACES: Readonly<Record<string, Place>> = {
  'infer: body': { path: infer, text: (value) => value },
  'infer: data': { path: infer, text: (value, datatype) => `{"inputs":[${input(value, datatype)}]}` },
  'infer: data of another datatype': {
    path: infer,
    text: (value, datatype) => `{"inputs":[${input(value, datatype === 'INT64' ? 'FP32' : 'INT64')}]}`,
  },
  'infer: broken at its end': { path: infer, text: (value, datatype) => `{"inputs":[${input(value, datatype)}]]` },
  'infer: inputs': { path: infer, text: (value) => `{"inputs":${value}}` },
  'infer: outputs': { path: infer, text: (value, datatype) => `{"inputs":[${input('[1]', datatype)}],"outputs":${value}}` },
  'infer: parameters': { path: infer, text: (value, datatype) => `{"parameters":${value},"inputs":[${input('[1]', datatype)}]}` },
  'infer: parameters of an input': {
    path: infer,
    text: (value, datatype) => `{"inputs":[${input('[1]', datatype, `"parameters":${value},`)}]}`,
  },
  'infer: shape': { path: infer, text: (value) => `{"inputs":[{"name":"x","datatype":"FP32","shape":${value},"data":[1]}]}` },
  'infer: id': { path: infer, text: (value, datatype) => `{"id":${value},"inputs":[${input('[1]', datatype)}]}` },
  'infer: head of a binary body': {
    path: infer,
    text: (value, datatype) => `{"inputs":[${input(value, datatype)}]}`,
    headers: framed,
  },
  'generate: an input': { path: generate, text: (value) => `{"x":${value}}` },
  'generate: a parameter': { path: generate, text: (value) => `{"x":1,"p":${value}}` },
  'generate: parameters': { path: generate, text: (value) => `{"x":1,"parameters":${value}}` },
  'generate_stream: an input': { path: stream, text: (value) => `{"x":${value}}` },
  'tf-serving: instances': { path: tf, text: (value) => `{"instances":${value}}` },
  'tf-serving: an instance': { path: tf, text: (value) => `{"instances":[{"x":${value}}]}` },
  'tf-serving: inputs': { path: tf, text: (value) => `{"inputs":${value}}` },
  'mlflow: instances': { path: invocations, text: (value) => `{"instances":${value}}` },
  'mlflow: inputs': { path: invocations, text: (value) => `{"inputs":{"x":${value}}}` },
  'mlflow: split': { path: invocations, text: (value) => `{"dataframe_split":{"columns":["x"],"data":${value}}}` },
  'mlflow: columns': { path: invocations, text: (value) => `{"dataframe_split":{"columns":${value},"data":[[1]]}}` },
  'mlflow: records': { path: invocations, text: (value) => `{"dataframe_records":${value}}` },
  'mlflow: params': { path: invocations, text: (value) => `{"inputs":[[1,2,3,4]],"params":${value}}` },
  'mlflow: CSV': {
    path: invocations,
    text: (value) => `x\n${value.replaceAll(',', '\n').replaceAll('"', '')}`,
    headers: () => ({ 'content-type': 'text/csv' }),
  },
  'mlflow: CSV of one row': {
    path: invocations,
    text: (value) => `${value}\n${value}`,
    headers: () => ({ 'content-type': 'text/csv' }),
  },
  'repository: index': { path: () => '/v2/repository/index', text: (value) => `{"ready":${value}}` },
  'repository: load': { path: (model) => `/v2/repository/models/${model}/load`, text: (value) => `{"parameters":${value}}` },
  'repository: unload': { path: () => '/v2/repository/models/none/unload', text: (value) => `{"parameters":${value}}` },
}

export interface HostileBody {
  readonly what: string
  readonly path: string
  readonly body: Uint8Array
  readonly headers: Readonly<Record<string, string>>
}

type Repeated = readonly [count: number, data: Buffer]

const times = (element: Buffer, count: number): Repeated => [count, Buffer.concat(Array.from({ length: count }, () => element))]

/** Numbers of so many bytes each; the model of FP32 takes four in a row. */
const numbers =
  (size: number) =>
  (bytes: number): Repeated => {
    const count = 4 * Math.floor(bytes / size / 4)
    return [count, Buffer.alloc(count * size, 1)]
  }

/** Strings of so many bytes each, as binary data has them. */
const strings =
  (length: number) =>
  (bytes: number): Repeated => {
    const element = Buffer.alloc(4 + length, 'a')
    element.writeUInt32LE(length)
    return times(element, Math.floor(bytes / element.length))
  }

/** Tensors as raw bytes: how many elements, and the bytes. */
const BLOBS: readonly (readonly [what: string, datatype: Datatype, blob: (bytes: number) => Repeated])[] = [
  ['FP32', 'FP32', numbers(4)],
  ['FP16', 'FP16', numbers(2)],
  ['INT64', 'INT64', numbers(8)],
  ['BOOL', 'BOOL', numbers(1)],
  ['empty strings', 'BYTES', strings(0)],
  ['short strings', 'BYTES', strings(12)],
  ['one long string', 'BYTES', (bytes) => strings(bytes - 4)(bytes)],
]

/** Every tensor of raw bytes: after its JSON, as the body alone, and with more or less of it than the JSON says. */
export function* binaryBodies(bytes: number): Generator<HostileBody> {
  for (const [what, datatype, blob] of BLOBS) {
    const [count, data] = blob(bytes)
    const path = infer(nameOf(datatype))
    const head = (size: number): string => {
      const text = `{"inputs":[{"name":"x","datatype":"${datatype}","shape":${datatype === 'FP32' ? `[${count / 4},4]` : `[${count}]`},"parameters":{"binary_data_size":${size}}}],"outputs":[{"name":"y","parameters":{"binary_data":true}}]}`
      // Nowhere a multiple of an element's size, so that no tensor can be a view of its body.
      return text.length % 2 === 0 ? `${text} ` : text
    }
    for (const [how, size] of [
      ['all', data.length],
      ['less', data.length - 8],
      ['more', data.length + 8],
    ] as const) {
      const json = head(size)
      yield { what: `binary: ${what}, ${how}`, path, body: Buffer.concat([Buffer.from(json), data]), headers: framed(json) }
    }
    yield { what: `binary: ${what}, alone`, path, body: data, headers: framed('') }
  }
}

export const CODINGS: Readonly<Record<string, (body: Uint8Array) => Uint8Array>> = {
  identity: (body) => body,
  gzip: (body) => gzipSync(body, { level: 1 }),
  deflate: (body) => deflateSync(body, { level: 1 }),
}

/** The mount that has all these routes. */
export const MOUNT = {
  dialects: ['open-inference', 'tf-serving', 'mlflow'],
  management: true,
  mlflow: { model: nameOf('FP32') },
} as const

/**
 * Every value in every place; datatypes and codings take turns, so that each place meets each of them.
 * @param share one of so many of them, other values at every place. @default 1, all
 */
export function* hostileBodies(bytes: number, share = 1): Generator<HostileBody> {
  let skipped = 0
  for (const body of binaryBodies(bytes)) if (skipped++ % share === 0) yield body
  const datatypes = Object.keys(MODELS) as Datatype[]
  const codings = Object.keys(CODINGS)
  let turn = 0
  for (const [index, [place, { path, text, headers }]] of Object.entries(PLACES).entries())
    for (const [form, write] of Object.entries(VALUES).filter((_, i) => (i + index) % share === 0)) {
      const datatype = datatypes[turn % datatypes.length] as Datatype
      const coding = codings[turn % codings.length] as string
      turn++
      const body = text(write(bytes), datatype)
      yield {
        what: `${place}, ${form}, ${datatype}, ${coding}`,
        path: path(nameOf(datatype)),
        body: (CODINGS[coding] as (bytes: Uint8Array) => Uint8Array)(Buffer.from(body)),
        headers: { ...headers?.(body), ...(coding === 'identity' ? {} : { 'content-encoding': coding }) },
      }
    }
}

/** The paths that are asked, with the model's name as OpenAPI has it. */
export const PATHS: ReadonlySet<string> = new Set(Object.values(PLACES).map(({ path }) => path('{model}')))

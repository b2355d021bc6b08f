/** Tensors in JSON Schema, and examples of them. Only words that OpenAPI 3.0 has too, so that documents can be joined. */

import { DTYPES, toWireType } from '../tensor/index.ts'
import type { DType, JsonValue, ModelInfo, ValueInfo } from '../types.ts'

export type Json = { readonly [key: string]: JsonValue }

/** An example larger than this helps nobody. */
const MAX_EXAMPLE_ELEMENTS = 4096

export const shapeText = ({ dims }: ValueInfo): string =>
  dims === undefined ? 'any shape' : `[${dims.map((dim) => dim ?? '?').join(', ')}]`

const describe = (value: ValueInfo): string => `${shapeText(value)}${value.doc ? `: ${value.doc.slice(0, 500)}` : ''}`

function elementSchema(type: DType): Json {
  if (type === 'string') return { type: 'string' }
  if (type === 'bool') return { type: 'boolean' }
  const { isInteger, min, max } = DTYPES[type]
  if (!isInteger) return { type: 'number' }
  return typeof min === 'bigint' || typeof max === 'bigint'
    ? { type: 'integer', format: 'int64' }
    : { type: 'integer', minimum: min, maximum: max }
}

const NON_FINITE = ['NaN', 'Infinity', '-Infinity']

/** Alternatives for what stands for an element that may be no number: a missing value is not-a-number. */
const inRequest = ({ type = 'float32', nonFinite }: ValueInfo): readonly Json[] =>
  isFloat(type) && nonFinite !== 'reject' ? [elementSchema(type), { enum: [null, ...NON_FINITE] }] : [elementSchema(type)]

const inAnswer = ({ type = 'float32' }: ValueInfo): readonly Json[] =>
  isFloat(type) ? [elementSchema(type), { enum: NON_FINITE }] : [elementSchema(type)]

const isFloat = (type: DType): boolean => type !== 'string' && type !== 'bool' && !DTYPES[type].isInteger

/** An input of the Open Inference Protocol. */
export const inputSchema = (value: ValueInfo): Json => wireSchema(value, inRequest(value))

/** An output of the Open Inference Protocol. */
export const outputSchema = (value: ValueInfo): Json => wireSchema(value, inAnswer(value))

function wireSchema(value: ValueInfo, elements: readonly Json[]): Json {
  const { name, type = 'float32', dims } = value
  const rank: Json = dims ? { minItems: dims.length, maxItems: dims.length } : {}
  return {
    type: 'object',
    title: name,
    description: describe(value),
    required: ['name', 'datatype', 'shape', 'data'],
    properties: {
      name: { type: 'string', enum: [name] },
      datatype: { type: 'string', enum: [toWireType(type)] },
      shape: { type: 'array', items: { type: 'integer', minimum: 0 }, ...rank, description: shapeText(value) },
      data: {
        type: 'array',
        description: 'Elements in row-major order, flat or nested.',
        items: { oneOf: [...elements, { type: 'array', items: {} }] },
      },
      parameters: { type: 'object' },
    },
  }
}

/** An input as arrays nested as deep as the tensor has dimensions. */
export function nestedSchema(value: ValueInfo): Json {
  const { dims } = value
  const [element, ...others] = inRequest(value)
  if (dims === undefined) return { description: describe(value) }
  const nested = dims.reduceRight<Json>(
    (items, dim): Json => {
      const size: Json = typeof dim === 'number' ? { minItems: dim, maxItems: dim } : {}
      return { type: 'array', items, ...size }
    },
    others.length > 0 ? { oneOf: [element as Json, ...others] } : (element as Json),
  )
  return { ...nested, description: describe(value) }
}

// ---------------------------------------------------------------- examples

interface Sample {
  readonly name: string
  readonly type: DType
  readonly shape: readonly number[]
  readonly data: readonly JsonValue[]
}

/** What stands for an element where nothing is known of the model: an index of a table that is never empty, a share, no text. */
const ELEMENTS: Readonly<Record<'float' | 'integer' | 'bool' | 'string', JsonValue>> = {
  float: 0.5,
  integer: 0,
  bool: false,
  string: 'text',
}

/** One row for every input that a request needs; `undefined` where that would be too long to print. */
export function samplesOf({ inputs }: Pick<ModelInfo, 'inputs'>): readonly Sample[] | undefined {
  const samples: Sample[] = []
  for (const { name, type, dims, optional } of inputs) {
    if (optional || type === undefined) continue
    const shape = (dims ?? [1]).map((dim) => (typeof dim === 'number' ? dim : 1))
    const count = shape.reduce((product, dim) => product * dim, 1)
    if (count > MAX_EXAMPLE_ELEMENTS) return undefined
    const kind = type === 'string' || type === 'bool' ? type : DTYPES[type].isInteger ? 'integer' : 'float'
    samples.push({ name, type, shape, data: new Array<JsonValue>(count).fill(ELEMENTS[kind]) })
  }
  return samples
}

export const wireExample = ({ name, type, shape, data }: Sample): Json => ({ name, datatype: toWireType(type), shape, data })

export function nestedExample({ shape, data }: Sample): JsonValue {
  const nest = (dims: readonly number[], from: number): JsonValue => {
    const [size, ...rest] = dims
    if (size === undefined) return data[from] ?? null
    const step = rest.reduce((product, dim) => product * dim, 1)
    return Array.from({ length: size }, (_, i) => nest(rest, from + i * step))
  }
  return nest(shape, 0)
}

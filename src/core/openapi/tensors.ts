/** Tensors in JSON Schema, with examples. Only keywords that OpenAPI 3.0 has too, so that documents can be joined. */

import type { JsonValue } from '../dialects/types.ts'
import { countOf, DTYPES, type ExampleInput, isFloat, toWireType } from '../tensor/index.ts'
import type { DType, ValueInfo } from '../tensor/types.ts'

export type Json = { readonly [key: string]: JsonValue }

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

/** Alternatives for an element that may be no number: a missing value is not-a-number. */
const inRequest = ({ type = 'float32', nonFinite }: ValueInfo): readonly Json[] =>
  isFloat(type) && nonFinite !== 'reject' ? [elementSchema(type), { enum: [null, ...NON_FINITE] }] : [elementSchema(type)]

const inAnswer = ({ type = 'float32' }: ValueInfo): readonly Json[] =>
  isFloat(type) ? [elementSchema(type), { enum: NON_FINITE }] : [elementSchema(type)]

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

export const wireExample = ({ name, type, shape, element }: ExampleInput): Json => ({
  name,
  datatype: toWireType(type),
  shape,
  data: new Array<JsonValue>(countOf(shape)).fill(element),
})

export const nestedExample = ({ shape, element }: ExampleInput): JsonValue =>
  shape.reduceRight<JsonValue>((inner, size) => new Array<JsonValue>(size).fill(inner), element)

/** False for shapes that nested lists cannot express: the dimensions inside an empty one leave no trace. */
export const isNestable = ({ shape }: ExampleInput): boolean => shape.slice(0, -1).every((size) => size > 0)

/** Converts one value of a request into a tensor: whole tensors, typed arrays, nested arrays and scalars. */

import { allocateInside } from './arena.ts'
import { checkDims, formatShape, inferDims, product, readDims, type Scope } from './dims.ts'
import { type ElementArrays, elementsOf, isDType, typedArrayName, typedArrayNames } from './dtypes.ts'
import { describeRefusal, fillRow, kindOf } from './elements.ts'
import { firstNonFinite } from './finite.ts'
import { collectRows, indicesAt, isRow, MAX_RANK, type Row, rowLength, shapeOf } from './nested.ts'
import type { Dim, DType, Tensor, ValueInfo } from './types.ts'
import { inputFault, mismatch, quote, type Vocabulary } from './vocabulary.ts'

interface TypedScope extends Scope {
  readonly type: DType
}

/**
 * One input of a request as a tensor with the type and shape of the signature.
 * @throws ModelmountError `INPUT_INVALID`
 */
export function toTensor(info: ValueInfo, value: unknown, maxElements: number, vocabulary: Vocabulary): Tensor {
  const tensor = readTensor(info, value, maxElements, vocabulary)
  if (info.nonFinite === 'reject') refuseNonFinite(info.name, tensor, vocabulary.pathOf(info.name))
  return tensor
}

function refuseNonFinite(input: string, tensor: Tensor, path: string): void {
  const index = firstNonFinite(tensor)
  if (index !== -1) throw mismatch(input, path, 'finite numbers', `a missing or infinite one as element ${index}`)
}

function readTensor(info: ValueInfo, value: unknown, maxElements: number, vocabulary: Vocabulary): Tensor {
  const { name: input, type, dims } = info
  const path = vocabulary.pathOf(input)
  if (type === undefined)
    throw inputFault(`input ${quote(input)} cannot be sent: its type is ${info.declaredType}`, {
      input,
      field: path,
      expected: info.declaredType,
    })
  const scope: TypedScope = { input, path, type, dims, maxElements, vocabulary }
  if (Array.isArray(value)) return fromNest(scope, value)
  if (ArrayBuffer.isView(value)) return fromTypedArray(scope, value)
  if (typeof value === 'object' && value !== null && vocabulary.nestedOnly !== true) return fromParts(scope, value)
  return fromScalar(scope, value)
}

function fromNest(scope: TypedScope, nest: Row): Tensor {
  const { input, path, type, dims: wanted, vocabulary } = scope
  const dims = shapeOf(nest)
  if (dims === undefined) throw mismatch(input, path, `at most ${MAX_RANK} levels of nesting`, 'more')
  if (wanted !== undefined && wanted.length !== dims.length) {
    const got = `nesting of ${dims.length} ${dims.length === 1 ? 'level' : 'levels'}`
    throw mismatch(
      input,
      path,
      `${wanted.length} levels of nesting for shape ${formatShape(wanted)}${vocabulary.nestedOnly ? '' : ' (or { type, dims, data })'}`,
      got,
    )
  }
  checkDims(scope, dims, path)
  return tensorOf(type, dims, fromRows(scope, nest, dims, path))
}

function fromTypedArray(scope: TypedScope, view: ArrayBufferView): Tensor {
  const elements = viewElements(scope, view, scope.path)
  const dims = inferDims(scope, elements.length)
  checkDims(scope, dims, scope.path)
  return tensorOf(scope.type, dims, elements)
}

function fromScalar(scope: TypedScope, value: unknown): Tensor {
  const { input, path, type, dims: wanted = [] } = scope
  if (!wanted.every((dim) => dim === 1)) throw mismatch(input, path, describeShape(wanted), kindOf(value))
  const elements = allocateInside(type, 1)
  fill(scope, elements, 0, [value], () => path)
  return tensorOf(
    type,
    wanted.map(() => 1),
    elements,
  )
}

function fromParts(scope: TypedScope, parts: object): Tensor {
  const { input, path, type: wanted, vocabulary } = scope
  // Read each property once, so that the checked value is the one used.
  const { type, dims: stated, data } = parts as { readonly type?: unknown; readonly dims?: unknown; readonly data?: unknown }
  if (type === undefined && stated === undefined && data === undefined) {
    throw mismatch(
      input,
      path,
      'a tensor { type, dims, data }, a typed array, nested arrays or a scalar',
      'an object of another kind',
    )
  }
  const { fields } = vocabulary
  if (type !== wanted) {
    const got = isDType(type) ? vocabulary.typeName(type) : typeof type === 'string' ? 'another string' : kindOf(type)
    throw mismatch(input, `${path}.${fields.type}`, vocabulary.typeName(wanted), got)
  }
  const dims = readDims(scope, stated, `${path}.${fields.dims}`)
  const count = checkDims(scope, dims, `${path}.${fields.dims}`)
  return tensorOf(wanted, dims, dataElements(scope, data, dims, count, `${path}.${fields.data}`))
}

/** The elements of a tensor whose shape is stated: a typed array, a flat array, or arrays nested to exactly that shape. */
function dataElements(
  scope: TypedScope,
  data: unknown,
  dims: readonly number[],
  count: number,
  path: string,
): ElementArrays[DType] {
  if (!isRow(data)) throw mismatch(scope.input, path, 'an array', kindOf(data))
  if (Array.isArray(data) && isRow(data[0])) {
    const shape = shapeOf(data)
    if (shape === undefined || !isShapeOfNest(shape, dims)) {
      const got = shape === undefined ? `more than ${MAX_RANK} levels of nesting` : `nesting of shape ${formatShape(shape)}`
      throw mismatch(scope.input, path, `${count} elements, flat or nested to shape ${formatShape(dims)}`, got)
    }
    return fromRows(scope, data, shape, path)
  }
  const length = rowLength(data)
  if (length !== count) throw mismatch(scope.input, path, `${count} elements for shape ${formatShape(dims)}`, `${length}`)
  return fromRows(scope, data, [count], path)
}

/** Nesting ends at the first empty dim: [2, 0, 3] can only be written as [[], []]. */
function isShapeOfNest(shape: readonly number[], dims: readonly number[]): boolean {
  const isPrefix = shape.every((size, i) => size === dims[i])
  return isPrefix && (shape.length === dims.length || shape.at(-1) === 0)
}

/** Converts a nest. `shape` has passed {@link checkDims}, which bounds elements and rows alike. */
function fromRows(scope: TypedScope, nest: Row, shape: readonly number[], path: string): ElementArrays[DType] {
  const { input, type } = scope
  if (!Array.isArray(nest)) return viewElements(scope, nest as ArrayBufferView, path)
  const rows = collectRows(nest, shape)
  if (!Array.isArray(rows)) {
    const { path: at, expected, got } = rows as Exclude<typeof rows, Row[]>
    throw mismatch(input, indexPath(path, at), expected, got)
  }
  const width = shape.at(-1) ?? 0
  const elements = allocateInside(type, product(shape))
  for (const [i, row] of rows.entries()) {
    const at = i * width
    if (Array.isArray(row)) {
      fill(scope, elements, at, row, (column) => indexPath(path, indicesAt(at + column, shape)))
    } else {
      const rowPath = () => indexPath(path, indicesAt(i, shape.slice(0, -1)))
      const typed = viewElements(scope, row as ArrayBufferView, rowPath)
      ;(elements as Uint8Array).set(typed as Uint8Array, at)
    }
  }
  return elements
}

/** Views a typed array of the right kind as elements; for bool, of bytes 0 and 1. `path` is called only on an error. */
function viewElements(
  scope: TypedScope,
  view: ArrayBufferView,
  path: string | (() => string),
): Exclude<ElementArrays[DType], string[]> {
  const { input, type, vocabulary } = scope
  const where = () => (typeof path === 'string' ? path : path())
  const elements = elementsOf(type, view)
  if (elements === undefined) {
    const names = typedArrayNames(type)
    const expected =
      names.length === 0 ? 'an array of strings' : `${vocabulary.typeName(type)} elements in a ${names.join(' or ')}`
    throw mismatch(input, where(), expected, typedArrayName(view) ?? 'a DataView')
  }
  if (type === 'bool') {
    const wrong = (elements as Uint8Array).findIndex((byte) => byte > 1)
    if (wrong !== -1) throw mismatch(input, `${where()}[${wrong}]`, 'a byte of 0 or 1', 'another byte')
  }
  return elements
}

function fill(
  scope: TypedScope,
  elements: ElementArrays[DType],
  at: number,
  row: readonly unknown[],
  pathOf: (column: number) => string,
): void {
  const { input, type, vocabulary } = scope
  const refused = fillRow(type, elements as never, at, row, vocabulary.elements)
  if (refused === -1) return
  const { expected, got } = describeRefusal(type, row[refused], vocabulary.elements, vocabulary.typeName(type))
  throw mismatch(input, pathOf(refused), expected, got)
}

function tensorOf(type: DType, dims: readonly number[], data: ElementArrays[DType]): Tensor {
  return { type, dims, data } as Tensor
}

function indexPath(path: string, indices: readonly number[]): string {
  return `${path}${indices.map((index) => `[${index}]`).join('')}`
}

function describeShape(dims: readonly Dim[]): string {
  return dims.length === 0 ? 'a scalar' : `an array or tensor of shape ${formatShape(dims)}`
}

/** The nodes of the main graph with what tells how they treat dimensions: a second look at a file, for those who need more than its signature. */

import type { Reader, Reading } from './wire.ts'
import { BYTES, packedInts, VARINT } from './wire.ts'

/** An initializer or Constant. */
export interface Constant {
  readonly rank: number
  /** Its elements, where it is a small tensor of integers or booleans: axes, shapes, switches. */
  readonly ints?: readonly number[]
}

export interface GraphNode {
  /** `domain:Op`. */
  readonly op: string
  /** Names of values; '' for one that was left out. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** Attributes that are an integer or a list of them. */
  readonly ints: ReadonlyMap<string, readonly number[]>
  /** The value of a Constant. */
  readonly constant: Constant | undefined
}

export interface Nodes {
  readonly nodes: readonly GraphNode[]
  readonly constants: ReadonlyMap<string, Constant>
  /** Version of the default operator set. */
  readonly opset: number
}

/** Shapes and axes are shorter. */
const MAX_INTS = 64
/** `MAX_INTS` varints of ten bytes. */
const MAX_PACKED_BYTES = 640

/** TensorProto.DataType: how many bytes an element of the integer types has in raw data. */
const INT_BYTES = new Map([
  [2, 1],
  [3, 1],
  [6, 4],
  [7, 8],
  [9, 1],
])
const BOOL = 9
/** Attributes of a Constant that is written without a tensor, and their ranks. */
const LITERALS = new Map([
  ['value_int', 0],
  ['value_float', 0],
  ['value_string', 0],
  ['value_ints', 1],
  ['value_floats', 1],
  ['value_strings', 1],
])
const NO_INTS: ReadonlyMap<string, readonly number[]> = new Map()

/** Reads a ModelProto. */
export function* readNodes(reader: Reader): Reading<Nodes> {
  const nodes: GraphNode[] = []
  const constants = new Map<string, Constant>()
  let opset = 0
  while (yield* reader.next()) {
    if (reader.is(7, BYTES)) yield* readGraph(reader, nodes, constants)
    else if (reader.is(8, BYTES)) opset = (yield* readDefaultOpset(reader)) ?? opset
  }
  return { nodes, constants, opset }
}

function* readGraph(reader: Reader, nodes: GraphNode[], constants: Map<string, Constant>): Reading<void> {
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) nodes.push(yield* readNode(reader))
    else if (reader.is(5, BYTES)) {
      const { name, ...constant } = yield* readConstant(reader)
      reader.keep(name.length)
      constants.set(name, constant)
    }
  }
}

function* readDefaultOpset(reader: Reader): Reading<number | undefined> {
  let domain = ''
  let version = 0
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) domain = yield* reader.text()
    else if (reader.is(2, VARINT)) version = Number(reader.int())
  }
  return domain === '' || domain === 'ai.onnx' ? version : undefined
}

function* readNode(reader: Reader): Reading<GraphNode> {
  const inputs: string[] = []
  const outputs: string[] = []
  let ints: Map<string, readonly number[]> | undefined
  let constant: Constant | undefined
  let op = ''
  let domain = ''
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) inputs.push(yield* reader.text())
    else if (reader.is(2, BYTES)) outputs.push(yield* reader.text())
    else if (reader.is(4, BYTES)) op = yield* reader.name('the operator of a node')
    else if (reader.is(7, BYTES)) domain = yield* reader.name('the domain of a node')
    else if (reader.is(5, BYTES)) {
      const attribute = yield* readAttribute(reader)
      constant ??= attribute.constant
      if (!attribute.ints) continue
      ints ??= new Map()
      ints.set(attribute.name, attribute.ints)
      reader.keep(attribute.name.length)
    }
  }
  return { op: `${domain === '' ? 'ai.onnx' : domain}:${op}`, inputs, outputs, ints: ints ?? NO_INTS, constant }
}

interface Attribute {
  readonly name: string
  readonly ints: readonly number[] | undefined
  readonly constant: Constant | undefined
}

function* readAttribute(reader: Reader): Reading<Attribute> {
  let name = ''
  let ints: number[] | undefined
  let constant: Constant | undefined
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) name = yield* reader.name('the name of an attribute')
    else if (reader.is(3, VARINT)) ints = [Number(reader.int())]
    else if (reader.is(5, BYTES)) constant = yield* readConstant(reader)
    else if (reader.field() === 8) ints = yield* readInts(reader, ints ?? [])
  }
  const rank = LITERALS.get(name)
  if (rank !== undefined) constant = { rank, ...(name.startsWith('value_int') && ints ? { ints } : {}) }
  return { name, ints, constant }
}

function* readConstant(reader: Reader): Reading<Constant & { readonly name: string }> {
  let name = ''
  let dims: number[] = []
  let type = 0
  let listed: number[] | undefined
  let raw: Uint8Array | undefined
  reader.enter()
  while (yield* reader.next()) {
    const field = reader.field()
    if (field === 1) dims = yield* readInts(reader, dims)
    else if (reader.is(2, VARINT)) type = Number(reader.int())
    else if (reader.is(8, BYTES)) name = yield* reader.name('the name of a tensor')
    else if ((field === 5 || field === 7) && reader.length() <= MAX_PACKED_BYTES) listed = yield* readInts(reader, listed ?? [])
    else if (reader.is(9, BYTES) && reader.length() <= MAX_INTS * 8) raw = yield* reader.bytes()
  }
  const count = dims.reduce((product, dim) => product * dim, 1)
  const ints = raw ? decode(raw, type) : listed
  const known = ints !== undefined && INT_BYTES.has(type) && ints.length === count && count <= MAX_INTS
  return { name, rank: dims.length, ...(known ? { ints } : {}) }
}

/** A repeated integer field, packed or one by one, added to what was there. Lists that are too long for an axis or a shape come back empty. */
function* readInts(reader: Reader, before: number[]): Reading<number[]> {
  if (before.length >= MAX_INTS) return []
  if (reader.is(reader.field(), VARINT)) return [...before, Number(reader.int())]
  return reader.length() > MAX_PACKED_BYTES ? [] : [...before, ...packedInts(yield* reader.bytes()).map(Number)]
}

function decode(raw: Uint8Array, type: number): number[] | undefined {
  const width = INT_BYTES.get(type)
  if (width === undefined) return undefined
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength)
  return Array.from({ length: Math.floor(raw.byteLength / width) }, (_, i) => {
    if (width === 8) return Number(view.getBigInt64(i * 8, true))
    if (width === 4) return view.getInt32(i * 4, true)
    return type === BOOL || type === 2 ? view.getUint8(i) : view.getInt8(i)
  })
}

/**
 * Graphs, subgraphs and local functions, with the attributes that decide how they treat values.
 * This is a second look at a file, for analyses that need more than its signature.
 */

import { operatorId } from './graph.ts'
import { rangeOf, tensorRange } from './ranges.ts'
import { BYTES, FIXED32, packedInts, type Reader, type Reading, VARINT } from './wire.ts'

/** An initializer or Constant. */
export interface Constant {
  readonly rank: number
  /** TensorProto.DataType. */
  readonly type: number
  /** Its elements, if it is a small tensor of integers or booleans: axes, shapes, switches. */
  readonly ints?: readonly number[]
  /** Its lowest and highest element, if they could be read. */
  readonly range?: readonly [number, number]
}

export interface GraphNode {
  /** `domain:Op`. */
  readonly op: string
  /** Its name in the file; '' for none. */
  readonly name: string
  /** Selects among several functions of the same name. */
  readonly overload: string
  /** Names of values; '' for an omitted one. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** Attributes that hold an integer or a list of integers. */
  readonly ints: ReadonlyMap<string, readonly number[]>
  /** Attributes that hold a short text. */
  readonly texts: ReadonlyMap<string, string>
  /** In a function: attributes taken from the call, with their names there. */
  readonly references: ReadonlyMap<string, string>
  /** Subgraphs. */
  readonly graphs: ReadonlyMap<string, GraphBody>
  /** The value of a Constant. */
  readonly constant: Constant | undefined
}

export interface GraphBody {
  readonly nodes: readonly GraphNode[]
  readonly constants: ReadonlyMap<string, Constant>
  /** Names in order. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** Element types of values, as far as the file declares them. */
  readonly types: ReadonlyMap<string, number>
}

export interface FunctionBody extends GraphBody {
  /** Attributes that a call may leave out. */
  readonly defaults: ReadonlyMap<string, readonly number[]>
  readonly opset: number
}

export interface Nodes extends GraphBody {
  /** Local functions by `functionId`. */
  readonly functions: ReadonlyMap<string, FunctionBody>
  /** Version of the default operator set. */
  readonly opset: number
}

export const functionId = (op: string, overload: string): string => (overload === '' ? op : `${op}:${overload}`)

/** Shapes and axes are shorter. */
const MAX_INTS = 64
/** `MAX_INTS` varints of ten bytes. */
const MAX_PACKED_BYTES = 640

/** Tensors up to this size are searched for their lowest and highest element. */
const MAX_RANGE_BYTES = 64 * 1024

/** TensorProto.DataType: bytes per element of the integer types in raw data. */
const INT_BYTES = new Map([
  [2, 1],
  [3, 1],
  [6, 4],
  [7, 8],
  [9, 1],
])
const BOOL = 9
const [FLOAT, INT64, STRING] = [1, 7, 8]
/** Attributes of a Constant written without a tensor: rank and element type. */
const LITERALS = new Map<string, readonly [number, number]>([
  ['value_int', [0, INT64]],
  ['value_float', [0, FLOAT]],
  ['value_string', [0, STRING]],
  ['value_ints', [1, INT64]],
  ['value_floats', [1, FLOAT]],
  ['value_strings', [1, STRING]],
])
const NONE = new Map<string, never>()

/** Reads a ModelProto. */
export function* readNodes(reader: Reader): Reading<Nodes> {
  const body = emptyBody()
  const functions = new Map<string, FunctionBody>()
  let opset = 0
  while (yield* reader.next()) {
    if (reader.is(7, BYTES)) yield* readGraph(reader, body)
    else if (reader.is(8, BYTES)) opset = (yield* readDefaultOpset(reader)) ?? opset
    else if (reader.is(25, BYTES)) {
      const { id, ...own } = yield* readFunction(reader)
      functions.set(id, own)
    }
  }
  return { ...body, functions, opset }
}

interface GrowingBody extends GraphBody {
  readonly nodes: GraphNode[]
  readonly constants: Map<string, Constant>
  readonly inputs: string[]
  readonly outputs: string[]
  readonly types: Map<string, number>
}

const emptyBody = (): GrowingBody => ({ nodes: [], constants: new Map(), inputs: [], outputs: [], types: new Map() })

function* readGraph(reader: Reader, body: GrowingBody): Reading<void> {
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) body.nodes.push(yield* readNode(reader))
    else if (reader.is(5, BYTES)) {
      const { name, ...constant } = yield* readConstant(reader)
      reader.keep(name.length)
      body.constants.set(name, constant)
    } else if (reader.is(11, BYTES)) body.inputs.push(yield* readType(reader, body))
    else if (reader.is(12, BYTES)) body.outputs.push(yield* readType(reader, body))
    else if (reader.is(13, BYTES)) yield* readType(reader, body)
  }
}

/** Reads a ValueInfoProto: its name. Records its element type. */
function* readType(reader: Reader, body: GrowingBody): Reading<string> {
  let name = ''
  let type = 0
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) name = yield* reader.text()
    else if (reader.is(2, BYTES)) type = yield* readElementType(reader)
  }
  if (type !== 0) body.types.set(name, type)
  return name
}

function* readElementType(reader: Reader): Reading<number> {
  let type = 0
  reader.enter()
  while (yield* reader.next()) {
    if (!reader.is(1, BYTES)) continue
    reader.enter()
    while (yield* reader.next()) if (reader.is(1, VARINT)) type = Number(reader.int())
  }
  return type
}

function* readFunction(reader: Reader): Reading<FunctionBody & { readonly id: string }> {
  const body = emptyBody()
  const defaults = new Map<string, readonly number[]>()
  let [name, domain, overload, opset] = ['', '', '', 0]
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) name = yield* reader.text()
    else if (reader.is(4, BYTES)) body.inputs.push(yield* reader.text())
    else if (reader.is(5, BYTES)) body.outputs.push(yield* reader.text())
    else if (reader.is(7, BYTES)) body.nodes.push(yield* readNode(reader))
    else if (reader.is(9, BYTES)) opset = (yield* readDefaultOpset(reader)) ?? opset
    else if (reader.is(10, BYTES)) domain = yield* reader.text()
    else if (reader.is(11, BYTES)) {
      const attribute = yield* readAttribute(reader)
      if (attribute.ints) defaults.set(attribute.name, attribute.ints)
    } else if (reader.is(12, BYTES)) yield* readType(reader, body)
    else if (reader.is(13, BYTES)) overload = yield* reader.text()
  }
  return { ...body, id: functionId(operatorId(domain, name), overload), defaults, opset }
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
  let texts: Map<string, string> | undefined
  let references: Map<string, string> | undefined
  let graphs: Map<string, GraphBody> | undefined
  let constant: Constant | undefined
  let [op, domain, name, overload] = ['', '', '', '']
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) inputs.push(yield* reader.text())
    else if (reader.is(2, BYTES)) outputs.push(yield* reader.text())
    else if (reader.is(3, BYTES)) name = yield* reader.text()
    else if (reader.is(4, BYTES)) op = yield* reader.name('the operator of a node')
    else if (reader.is(7, BYTES)) domain = yield* reader.name('the domain of a node')
    else if (reader.is(8, BYTES)) overload = yield* reader.text()
    else if (reader.is(5, BYTES)) {
      const attribute = yield* readAttribute(reader)
      reader.keep(attribute.name.length)
      constant ??= attribute.constant
      if (attribute.ints) ints = added(ints, attribute.name, attribute.ints)
      if (attribute.text !== undefined) texts = added(texts, attribute.name, attribute.text)
      if (attribute.reference !== '') references = added(references, attribute.name, attribute.reference)
      if (attribute.graph) graphs = added(graphs, attribute.name, attribute.graph)
    }
  }
  return {
    op: operatorId(domain, op),
    name,
    overload,
    inputs,
    outputs,
    ints: ints ?? NONE,
    texts: texts ?? NONE,
    references: references ?? NONE,
    graphs: graphs ?? NONE,
    constant,
  }
}

/** Most nodes have none of these. */
const added = <T>(map: Map<string, T> | undefined, name: string, value: T): Map<string, T> => (map ?? new Map()).set(name, value)

interface Attribute {
  readonly name: string
  readonly ints: readonly number[] | undefined
  readonly text: string | undefined
  readonly reference: string
  readonly graph: GraphBody | undefined
  readonly constant: Constant | undefined
}

/** Equations of Einsum and the like. */
const MAX_TEXT_BYTES = 256

function* readAttribute(reader: Reader): Reading<Attribute> {
  let name = ''
  let reference = ''
  let ints: number[] | undefined
  let text: string | undefined
  let graph: GrowingBody | undefined
  let constant: Constant | undefined
  let float = 0
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) name = yield* reader.name('the name of an attribute')
    else if (reader.is(2, FIXED32)) float = yield* reader.float()
    else if (reader.is(3, VARINT)) ints = [Number(reader.int())]
    else if (reader.is(4, BYTES) && reader.length() <= MAX_TEXT_BYTES) text = yield* reader.text()
    else if (reader.is(5, BYTES)) constant = yield* readConstant(reader)
    else if (reader.is(6, BYTES)) {
      graph = emptyBody()
      yield* readGraph(reader, graph)
    } else if (reader.field() === 8) ints = yield* readInts(reader, ints ?? [])
    else if (reader.is(21, BYTES)) reference = yield* reader.text()
  }
  return { name, ints, text, reference, graph, constant: constant ?? literal(name, ints, float) }
}

/** The value of a Constant that is written without a tensor. */
function literal(name: string, ints: readonly number[] | undefined, float: number): Constant | undefined {
  const known = LITERALS.get(name)
  if (!known) return undefined
  const [rank, type] = known
  if (name === 'value_float') return { rank, type, range: [float, float] }
  if (type !== INT64 || !ints) return { rank, type }
  return { rank, type, ints, ...(ints.length > 0 ? { range: rangeOf(ints) } : {}) }
}

function* readConstant(reader: Reader): Reading<Constant & { readonly name: string }> {
  let name = ''
  let dims: number[] = []
  let type = 0
  let listed: number[] | undefined
  let raw: Uint8Array | undefined
  let range: readonly [number, number] | undefined
  reader.enter()
  while (yield* reader.next()) {
    const field = reader.field()
    if (field === 1) dims = yield* readInts(reader, dims)
    else if (reader.is(2, VARINT)) type = Number(reader.int())
    else if (reader.is(8, BYTES)) name = yield* reader.name('the name of a tensor')
    else if ((field === 5 || field === 7) && reader.length() <= MAX_PACKED_BYTES) listed = yield* readInts(reader, listed ?? [])
    else if (reader.is(9, BYTES) && reader.length() <= MAX_INTS * 8) raw = yield* reader.bytes()
    else if (reader.is(9, BYTES) || reader.is(4, BYTES)) {
      const bytes = yield* reader.peek(MAX_RANGE_BYTES)
      range = bytes && tensorRange(bytes, field === 4 ? FLOAT : type)
    }
  }
  const count = dims.reduce((product, dim) => product * dim, 1)
  const ints = raw ? decode(raw, type) : listed
  const known = ints !== undefined && INT_BYTES.has(type) && ints.length === count && count <= MAX_INTS
  range ??= raw ? tensorRange(raw, type) : ints && ints.length === count ? rangeOf(ints) : undefined
  return { name, rank: dims.length, type, ...(known ? { ints } : {}), ...(range ? { range } : {}) }
}

/**
 * Reads a repeated integer field, packed or one by one, and appends it to earlier values. Lists too long for an axis or a shape
 * come back empty.
 */
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

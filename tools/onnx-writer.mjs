/**
 * Writes ONNX files without a protobuf runtime, for tests, examples and benchmarks. Not part of the published package.
 * Plain JavaScript, so that `node` runs it without a loader. Field numbers are those of onnx.proto3.
 *
 * A message under construction is a tree of chunks with their total length: nesting costs no copy, so a model of some
 * hundred MB is copied once, at the end.
 */

/** Numbers of TensorProto.DataType by name. */
export const ELEM_TYPES = Object.freeze({
  float: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  double: 11,
  uint32: 12,
  uint64: 13,
  complex64: 14,
  complex128: 15,
  bfloat16: 16,
  float8e4m3fn: 17,
  float8e4m3fnuz: 18,
  float8e5m2: 19,
  float8e5m2fnuz: 20,
  uint4: 21,
  int4: 22,
  float4e2m1: 23,
  float8e8m0: 24,
  uint2: 25,
  int2: 26,
  // the names that modelmount and onnxruntime-node use
  float32: 1,
  float64: 11,
})

/** How plain arrays of numbers become raw bytes; other types take a typed array that holds the bits. */
const FROM_NUMBERS = new Map([
  [1, (data) => Float32Array.from(data)],
  [2, (data) => Uint8Array.from(data)],
  [3, (data) => Int8Array.from(data)],
  [4, (data) => Uint16Array.from(data)],
  [5, (data) => Int16Array.from(data)],
  [6, (data) => Int32Array.from(data)],
  [7, (data) => BigInt64Array.from(data, BigInt)],
  [9, (data) => Uint8Array.from(data, Number)],
  [11, (data) => Float64Array.from(data)],
  [12, (data) => Uint32Array.from(data)],
  [13, (data) => BigUint64Array.from(data, BigInt)],
])

const EXTERNAL = 1
const encoder = new TextEncoder()

// ---------------------------------------------------------------- wire

function varint(value) {
  const bytes = []
  let rest = BigInt.asUintN(64, BigInt(value))
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return Uint8Array.from(bytes)
}

/** Bytes and other parts, one after the other. */
function sequence(chunks) {
  return { chunks, length: chunks.reduce((sum, part) => sum + part.length, 0) }
}

const message = (...chunks) => sequence(chunks)
const nothing = sequence([])
const delimited = (field, body) => message(varint((field << 3) | 2), varint(body.length), body)
const stringField = (field, text) => delimited(field, encoder.encode(text))
const intField = (field, value) => message(varint(field << 3), varint(value))
const optionalString = (field, text) => (text === undefined || text === '' ? nothing : stringField(field, text))
const all = (field, bodies) => sequence(bodies.map((body) => delimited(field, body)))
const strings = (field, texts) => sequence(texts.map((text) => stringField(field, text)))
const packedInts = (field, values) => (values.length === 0 ? nothing : delimited(field, sequence(values.map(varint))))

function floatField(field, value) {
  return message(varint((field << 3) | 5), new Uint8Array(Float32Array.of(value).buffer))
}

const bytesOf = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
const entry = (key, value) => message(stringField(1, key), stringField(2, String(value)))

function toBytes(root) {
  const out = new Uint8Array(root.length)
  const rest = [root]
  let end = root.length
  // from the back, with an own stack: subgraphs may nest deeper than JavaScript calls can
  for (let part = rest.pop(); part !== undefined; part = rest.pop()) {
    if (part instanceof Uint8Array) {
      end -= part.length
      out.set(part, end)
    } else for (const chunk of part.chunks) rest.push(chunk)
  }
  return out
}

function elemNumber(elemType) {
  if (typeof elemType === 'number') return elemType
  if (!Object.hasOwn(ELEM_TYPES, elemType)) throw new TypeError(`unknown ONNX element type ${elemType}`)
  return ELEM_TYPES[elemType]
}

// ---------------------------------------------------------------- types and values

function dimension(dim) {
  if (dim === null) return nothing
  return typeof dim === 'string' ? stringField(2, dim) : intField(1, dim)
}

const shape = (dims) => (dims === undefined ? nothing : delimited(2, all(1, dims.map(dimension))))

/** Types for {@link typedValue}; `dims` left out means unknown rank. */
export const type = Object.freeze({
  tensor: (elemType, dims) => delimited(1, message(intField(1, elemNumber(elemType)), shape(dims))),
  sparseTensor: (elemType, dims) => delimited(8, message(intField(1, elemNumber(elemType)), shape(dims))),
  sequence: (elem) => delimited(4, delimited(1, elem)),
  optional: (elem) => delimited(9, delimited(1, elem)),
  map: (keyType, valueType) => delimited(5, message(intField(1, elemNumber(keyType)), delimited(2, valueType))),
})

/** A graph input, output or value_info of any type. */
export function typedValue(name, valueType, { doc } = {}) {
  return message(stringField(1, name), delimited(2, valueType), optionalString(3, doc))
}

/** A tensor value; each dim is a number, a symbol, or `null` for dynamic without a name; no dims at all means unknown rank. */
export function value(name, elemType, dims, opts) {
  return typedValue(name, type.tensor(elemType, dims), opts)
}

/** A graph output whose type is left to inference. */
export const untypedValue = (name) => message(stringField(1, name))

/** A sequence of tensors. */
export function sequenceValue(name, elemType, dims, opts) {
  return typedValue(name, type.sequence(type.tensor(elemType, dims)), opts)
}

/** An optional tensor. */
export function optionalValue(name, elemType, dims, opts) {
  return typedValue(name, type.optional(type.tensor(elemType, dims)), opts)
}

// ---------------------------------------------------------------- tensors

function payload(elem, data) {
  if (elem === ELEM_TYPES.string) return strings(6, data)
  if (ArrayBuffer.isView(data)) return delimited(9, bytesOf(data))
  const convert = FROM_NUMBERS.get(elem)
  if (convert === undefined) throw new TypeError(`element type ${elem} needs a typed array with the raw bits`)
  return delimited(9, bytesOf(convert(data)))
}

function externalLocation({ location, offset, length }) {
  const entries = [entry('location', location)]
  if (offset !== undefined) entries.push(entry('offset', offset))
  if (length !== undefined) entries.push(entry('length', length))
  return message(all(13, entries), intField(14, EXTERNAL))
}

/** A tensor: typed arrays go in as raw bytes, plain arrays are converted, strings stay strings, `external` points into another file. */
export function tensor(name, elemType, dims, data, { external, doc } = {}) {
  const elem = elemNumber(elemType)
  return message(
    packedInts(1, dims),
    intField(2, elem),
    external === undefined ? payload(elem, data) : externalLocation(external),
    optionalString(8, name),
    optionalString(12, doc),
  )
}

/** A sparse tensor from a tensor of values and an int64 tensor of indices; as an initializer it is named by its values. */
export function sparseTensor(values, indices, dims) {
  return message(delimited(1, values), delimited(2, indices), packedInts(3, dims))
}

// ---------------------------------------------------------------- nodes

/** Attribute values for {@link node}. */
export const attr = Object.freeze({
  float: (v) => message(floatField(2, v), intField(20, 1)),
  int: (v) => message(intField(3, v), intField(20, 2)),
  string: (v) => message(stringField(4, v), intField(20, 3)),
  tensor: (v) => message(delimited(5, v), intField(20, 4)),
  graph: (v) => message(delimited(6, graph(v)), intField(20, 5)),
  floats: (v) => message(delimited(7, bytesOf(Float32Array.from(v))), intField(20, 6)),
  ints: (v) => message(packedInts(8, v), intField(20, 7)),
  strings: (v) => message(strings(9, v), intField(20, 8)),
  tensors: (v) => message(all(10, v), intField(20, 9)),
  graphs: (v) => message(all(11, v.map(graph)), intField(20, 10)),
  sparseTensor: (v) => message(delimited(22, v), intField(20, 11)),
  type: (v) => message(delimited(14, v), intField(20, 13)),
})

/** A node; attributes are made with {@link attr}. */
export function node(opType, inputs, outputs, attrs = {}, { domain, name } = {}) {
  return message(
    strings(1, inputs),
    strings(2, outputs),
    optionalString(3, name),
    stringField(4, opType),
    all(
      5,
      Object.entries(attrs).map(([key, body]) => message(stringField(1, key), body)),
    ),
    optionalString(7, domain),
  )
}

// ---------------------------------------------------------------- graphs and models

function graph({ name = 'graph', doc, inputs = [], outputs = [], nodes = [], initializers = [], sparseInitializers = [] }) {
  return message(
    all(1, nodes),
    stringField(2, name),
    all(5, initializers),
    optionalString(10, doc),
    all(11, inputs),
    all(12, outputs),
    all(15, sparseInitializers),
  )
}

const opsetImports = (opsets) =>
  Object.entries(opsets).map(([domain, version]) => message(optionalString(1, domain), intField(2, version)))

/** A model-local function. */
export function modelFunction({ domain, name, inputs, outputs, nodes, opsets = { '': 17 } }) {
  return message(
    stringField(1, name),
    strings(4, inputs),
    strings(5, outputs),
    all(7, nodes),
    all(9, opsetImports(opsets)),
    stringField(10, domain),
  )
}

/** The bytes of an ONNX model. */
export function writeModel({
  irVersion = 8,
  opset = 17,
  opsets = { '': opset },
  producer = 'modelmount-tools',
  producerVersion,
  domain,
  modelVersion,
  doc,
  metadata = {},
  functions = [],
  graph: parts,
}) {
  return toBytes(
    message(
      intField(1, irVersion),
      optionalString(2, producer),
      optionalString(3, producerVersion),
      optionalString(4, domain),
      modelVersion === undefined ? nothing : intField(5, modelVersion),
      optionalString(6, doc),
      delimited(7, graph(parts)),
      all(8, opsetImports(opsets)),
      all(
        14,
        Object.entries(metadata).map(([key, text]) => entry(key, text)),
      ),
      all(25, functions),
    ),
  )
}

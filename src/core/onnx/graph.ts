/** GraphProto, NodeProto, AttributeProto, TensorProto: what a graph is made of, without its weights. */

import type { ValueInfo } from '../types.ts'
import { Malformed } from './malformed.ts'
import { readValue } from './values.ts'
import { BYTES, type Reader, type Reading, VARINT } from './wire.ts'

const MAX_VALUES = 10_000
const EXTERNAL = 1n

/** TensorProto fields that hold elements: float, int32, string, int64, raw, double, uint64. */
const DATA_FIELDS: ReadonlySet<number> = new Set([4, 5, 6, 7, 9, 10, 11])

/** What is counted over a graph and its subgraphs, or over a function's body. */
export interface Tally {
  nodes: number
  initializers: number
  weightBytes: number
  /** `domain:Op`. */
  readonly operators: Set<string>
  /** Locations of external data; shared by every tally of a model. */
  readonly externalData: Set<string>
}

/** The main graph's own facts. */
export interface GraphFacts {
  name: string
  doc: string
  readonly inputs: ValueInfo[]
  readonly outputs: ValueInfo[]
  readonly initializerNames: Set<string>
}

export const createTally = (externalData: Set<string>): Tally => ({
  nodes: 0,
  initializers: 0,
  weightBytes: 0,
  operators: new Set(),
  externalData,
})

/** `domain:Op`; ONNX writes the default domain as nothing. */
export const operatorId = (domain: string, op: string): string => `${domain === '' ? 'ai.onnx' : domain}:${op}`

/** Reads the main graph. */
export function* readMainGraph(reader: Reader, tally: Tally): Reading<GraphFacts> {
  const facts: GraphFacts = { name: '', doc: '', inputs: [], outputs: [], initializerNames: new Set() }
  const named = { inputs: new Set<string>(), outputs: new Set<string>() }

  function* readNamed(kind: 'input' | 'output'): Reading<void> {
    const list = facts[`${kind}s`]
    const names = named[`${kind}s`]
    if (list.length === MAX_VALUES) throw new Malformed(`it has more than ${MAX_VALUES} ${kind}s`)
    const value = yield* readValue(reader, `${kind} ${list.length}`)
    if (names.has(value.name)) throw new Malformed(`${kind} ${list.length} has the name of another ${kind}`)
    names.add(value.name)
    list.push(value)
  }

  function* readInitializer(reading: Reading<string>): Reading<void> {
    const name = yield* reading
    tally.initializers++
    addOnce(reader, facts.initializerNames, name)
  }

  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) yield* readNode(reader, tally)
    else if (reader.is(2, BYTES)) facts.name = yield* reader.text()
    else if (reader.is(5, BYTES)) yield* readInitializer(readTensor(reader, tally))
    else if (reader.is(10, BYTES)) facts.doc = yield* reader.text()
    else if (reader.is(11, BYTES)) yield* readNamed('input')
    else if (reader.is(12, BYTES)) yield* readNamed('output')
    else if (reader.is(15, BYTES)) yield* readInitializer(readSparseTensor(reader, tally))
  }
  return facts
}

function* readSubgraph(reader: Reader, tally: Tally): Reading<void> {
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) yield* readNode(reader, tally)
    else if (reader.is(5, BYTES) || reader.is(15, BYTES)) {
      tally.initializers++
      yield* reader.is(5, BYTES) ? readTensor(reader, tally) : readSparseTensor(reader, tally)
    }
  }
}

/** Reads a NodeProto and everything below it into the tally. */
export function* readNode(reader: Reader, tally: Tally): Reading<void> {
  let op = ''
  let domain = ''
  tally.nodes++
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(4, BYTES)) op = yield* reader.name('the operator of a node')
    else if (reader.is(5, BYTES)) yield* readAttribute(reader, tally)
    else if (reader.is(7, BYTES)) domain = yield* reader.name('the domain of a node')
  }
  addOnce(reader, tally.operators, operatorId(domain, op))
}

function addOnce(reader: Reader, set: Set<string>, text: string): void {
  if (set.has(text)) return
  reader.keep(text.length)
  set.add(text)
}

/** Reads an AttributeProto: tensors and subgraphs hide here. */
export function* readAttribute(reader: Reader, tally: Tally): Reading<void> {
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(5, BYTES) || reader.is(10, BYTES)) yield* readTensor(reader, tally)
    else if (reader.is(6, BYTES) || reader.is(11, BYTES)) yield* readSubgraph(reader, tally)
    else if (reader.is(22, BYTES) || reader.is(23, BYTES)) yield* readSparseTensor(reader, tally)
  }
}

/** Reads a TensorProto, stepping over its elements. Returns its name. */
function* readTensor(reader: Reader, tally: Tally): Reading<string> {
  const locations: string[] = []
  let name = ''
  let location = 0n
  reader.enter()
  while (yield* reader.next()) {
    if (DATA_FIELDS.has(reader.field())) tally.weightBytes += reader.length()
    else if (reader.is(8, BYTES)) name = yield* reader.name('the name of a tensor')
    else if (reader.is(13, BYTES)) {
      const file = yield* readLocation(reader)
      if (file !== undefined) locations.push(file)
    } else if (reader.is(14, VARINT)) location = reader.int()
  }
  // without this mark ONNX Runtime does not look at the locations either
  if (location === EXTERNAL) for (const file of locations) addOnce(reader, tally.externalData, file)
  return name
}

/** The value of an external_data entry that is the location; the others (offset, length, checksum) may be many and are skipped. */
function* readLocation(reader: Reader): Reading<string | undefined> {
  let key = ''
  let value = ''
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) key = yield* reader.name('the key of an external data entry')
    else if (reader.is(2, BYTES) && (key === '' || key === 'location')) value = yield* reader.name('an external data location')
  }
  return key === 'location' ? value : undefined
}

/** Reads a SparseTensorProto, which goes by the name of its values. */
function* readSparseTensor(reader: Reader, tally: Tally): Reading<string> {
  let name = ''
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) name = yield* readTensor(reader, tally)
    else if (reader.is(2, BYTES)) yield* readTensor(reader, tally)
  }
  return name
}

/** Reads a StringStringEntryProto. */
export function* readEntry(reader: Reader): Reading<{ key: string; value: string }> {
  let key = ''
  let value = ''
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) key = yield* reader.text()
    else if (reader.is(2, BYTES)) value = yield* reader.text()
  }
  return { key, value }
}

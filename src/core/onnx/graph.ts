/** GraphProto, NodeProto, AttributeProto: the parts of a graph, without its weights. */

import type { ValueInfo } from '../tensor/types.ts'
import { Malformed } from './malformed.ts'
import { watchName } from './scan/names.ts'
import type { Watch } from './scan/watch.ts'
import { addOnce, type Tally } from './tally.ts'
import { readSparseTensor, readTensor } from './tensors.ts'
import { readValue } from './values.ts'
import { BYTES, type Reader, type Reading } from './wire.ts'

const MAX_VALUES = 10_000

/** The main graph's own facts. */
export interface GraphFacts {
  name: string
  doc: string
  readonly inputs: ValueInfo[]
  readonly outputs: ValueInfo[]
  readonly initializerNames: Set<string>
}

/** `domain:Op`; ONNX writes the default domain as nothing. */
export const operatorId = (domain: string, op: string): string => `${domain === '' ? 'ai.onnx' : domain}:${op}`

/** Reads the main graph. */
export function* readMainGraph(reader: Reader, tally: Tally): Reading<GraphFacts> {
  const { watch } = tally
  const facts: GraphFacts = { name: '', doc: '', inputs: [], outputs: [], initializerNames: new Set() }
  const named = { inputs: new Set<string>(), outputs: new Set<string>() }
  const parts = createParts(reader, tally, (name) => addOnce(reader, facts.initializerNames, name))

  function* readNamed(kind: 'input' | 'output'): Reading<void> {
    const list = facts[`${kind}s`]
    const names = named[`${kind}s`]
    if (list.length === MAX_VALUES) throw new Malformed(`it has more than ${MAX_VALUES} ${kind}s`)
    watch.enter(kind, list.length)
    const value = yield* readValue(reader, `${kind} ${list.length}`)
    if (names.has(value.name)) throw new Malformed(`${kind} ${list.length} has the name of another ${kind}`)
    watch.name(`the name of an ${kind}`, value.name)
    watch.leave()
    names.add(value.name)
    list.push(value)
  }

  watch.enter('graph')
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(2, BYTES)) {
      facts.name = yield* reader.text()
      watch.name('the name of a graph', facts.name)
    } else if (reader.is(10, BYTES)) facts.doc = yield* reader.text()
    else if (reader.is(11, BYTES)) yield* readNamed('input')
    else if (reader.is(12, BYTES)) yield* readNamed('output')
    else yield* parts.read()
  }
  watch.leave()
  return facts
}

function* readSubgraph(reader: Reader, tally: Tally): Reading<void> {
  const { watch } = tally
  const parts = createParts(reader, tally, () => {})
  watch.descend()
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(2, BYTES)) yield* watchName(reader, watch, 'the name of a graph')
    else if (reader.is(11, BYTES)) yield* watchValue(reader, watch, 'input')
    else if (reader.is(12, BYTES)) yield* watchValue(reader, watch, 'output')
    else yield* parts.read()
  }
  watch.ascend()
}

interface Parts {
  /** Reads the current field, if it is one of those that all graphs have. */
  read(): Reading<void>
}

/** Nodes and initializers of a graph, counted. */
function createParts(reader: Reader, tally: Tally, onInitializer: (name: string) => void): Parts {
  const { watch } = tally
  const counts = { node: 0, initializer: 0, sparse_initializer: 0 }

  function* within<T>(field: keyof typeof counts, reading: Reading<T>): Reading<T> {
    watch.enter(field, counts[field]++)
    const result = yield* reading
    watch.leave()
    return result
  }

  function* readInitializer(): Reading<string> {
    tally.initializers++
    return reader.is(5, BYTES)
      ? (yield* within('initializer', readTensor(reader, tally))).name
      : yield* within('sparse_initializer', readSparseTensor(reader, tally))
  }

  return {
    *read() {
      if (reader.is(1, BYTES)) yield* within('node', readNode(reader, tally))
      else if (reader.is(5, BYTES) || reader.is(15, BYTES)) onInitializer(yield* readInitializer())
      else if (reader.is(13, BYTES)) yield* watchValue(reader, watch, 'value_info')
    },
  }
}

/** Looks at the name of a ValueInfoProto that has no other reader. */
function* watchValue(reader: Reader, watch: Watch, field: string): Reading<void> {
  watch.enter(field)
  reader.enter()
  while (yield* reader.next()) if (reader.is(1, BYTES)) yield* watchName(reader, watch, 'the name of a value')
  watch.leave()
}

/** Reads a NodeProto and everything below it into the tally. */
export function* readNode(reader: Reader, tally: Tally): Reading<void> {
  const { watch } = tally
  let op = ''
  let domain = ''
  let attributes = 0
  tally.nodes++
  watch.node()
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES) || reader.is(2, BYTES)) yield* watchName(reader, watch, 'the name of a value')
    else if (reader.is(3, BYTES)) yield* watchName(reader, watch, 'the name of a node')
    else if (reader.is(4, BYTES)) op = yield* reader.name('the operator of a node')
    else if (reader.is(5, BYTES)) yield* readAttribute(reader, tally, 'attribute', attributes++)
    else if (reader.is(7, BYTES)) domain = yield* reader.name('the domain of a node')
  }
  const id = operatorId(domain, op)
  if (tally.operators.has(id)) return
  watch.operator(id)
  addOnce(reader, tally.operators, id)
}

/** Reads an AttributeProto: tensors and subgraphs hide here. */
export function* readAttribute(reader: Reader, tally: Tally, field: string, index: number): Reading<void> {
  const { watch } = tally
  const counts = { t: 0, g: 0, sparse_tensor: 0, tensors: 0, graphs: 0, sparse_tensors: 0 }

  function* within(part: keyof typeof counts, reading: Reading<unknown>): Reading<void> {
    const isOne = part === 't' || part === 'g' || part === 'sparse_tensor'
    // protobuf would merge the two; parts that are harmless alone need not be harmless merged
    if (isOne && counts[part] > 0) throw new Malformed('an attribute has its value twice')
    watch.enter(part, isOne ? undefined : counts[part])
    counts[part]++
    yield* reading
    watch.leave()
  }

  watch.enter(field, index)
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) yield* watchName(reader, watch, 'the name of an attribute')
    else if (reader.is(5, BYTES)) yield* within('t', readTensor(reader, tally))
    else if (reader.is(6, BYTES)) yield* within('g', readSubgraph(reader, tally))
    else if (reader.is(10, BYTES)) yield* within('tensors', readTensor(reader, tally))
    else if (reader.is(11, BYTES)) yield* within('graphs', readSubgraph(reader, tally))
    else if (reader.is(22, BYTES)) yield* within('sparse_tensor', readSparseTensor(reader, tally))
    else if (reader.is(23, BYTES)) yield* within('sparse_tensors', readSparseTensor(reader, tally))
  }
  watch.leave()
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

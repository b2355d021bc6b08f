/** ModelProto: the whole file. */

import { type GraphFacts, operatorId, readAttribute, readEntry, readMainGraph, readNode } from './graph.ts'
import { Malformed } from './malformed.ts'
import { watchName } from './scan/names.ts'
import type { Watch } from './scan/watch.ts'
import { createTally, type Tally } from './tally.ts'
import type { OnnxModelFacts } from './types.ts'
import { BYTES, type Reader, type Reading, VARINT } from './wire.ts'

/** Local functions by `domain:name`, with the operators that their bodies use. */
type Functions = Map<string, Tally>

/** Reads a ModelProto from its first byte to its last, under a watch. */
export function* readModel(reader: Reader, watch: Watch): Reading<OnnxModelFacts> {
  const externalData = new Set<string>()
  const tally = createTally(externalData, watch)
  const opsets: Record<string, number> = Object.create(null)
  const metadata: Record<string, string> = Object.create(null)
  const functions: Functions = new Map()
  const header = { irVersion: 0n, producer: '', producerVersion: '', domain: '', modelVersion: 0n, doc: '' }
  let functionCount = 0
  let graph: GraphFacts | undefined

  while (yield* reader.next()) {
    if (reader.is(1, VARINT)) header.irVersion = reader.int()
    else if (reader.is(2, BYTES)) header.producer = yield* reader.text()
    else if (reader.is(3, BYTES)) header.producerVersion = yield* reader.text()
    else if (reader.is(4, BYTES)) header.domain = yield* reader.text()
    else if (reader.is(5, VARINT)) header.modelVersion = reader.int()
    else if (reader.is(6, BYTES)) header.doc = yield* reader.text()
    else if (reader.is(7, BYTES)) {
      // protobuf would merge the two; a file with both aims at readers that disagree
      if (graph !== undefined) throw new Malformed('it has two graphs')
      graph = yield* readMainGraph(reader, tally)
    } else if (reader.is(8, BYTES)) {
      const { domain, version } = yield* readOpset(reader)
      watch.opset({ domain, version })
      opsets[domain] = version
    } else if (reader.is(14, BYTES)) {
      const { key, value } = yield* readEntry(reader)
      metadata[key] = value
    } else if (reader.is(25, BYTES)) {
      const { id, body } = yield* readFunction(reader, externalData, watch, functionCount++)
      functions.set(id, body)
    }
  }
  if (graph === undefined) throw new Malformed('it has no graph')

  const { initializerNames } = graph
  return {
    ...header,
    irVersion: Number(header.irVersion),
    modelVersion: header.modelVersion.toString(),
    doc: header.doc || graph.doc,
    opsets,
    metadata,
    graphName: graph.name,
    // before IR 4 every initializer had to be an input too, later it may; onnxruntime-node lists neither
    inputs: graph.inputs.filter(({ name }) => !initializerNames.has(name)),
    presetInputs: graph.inputs.flatMap(({ name }) => (initializerNames.has(name) ? [name] : [])),
    outputs: graph.outputs,
    externalData: [...externalData],
    nodeCount: tally.nodes,
    initializerCount: tally.initializers,
    initializerBytes: [tally, ...functions.values()].reduce((sum, { weightBytes }) => sum + weightBytes, 0),
    operators: [...reachableOperators(tally, functions)].sort(),
  }
}

/** The graph's requirements on the runtime: calls of local functions are replaced by the requirements of their bodies. */
function reachableOperators(graph: Tally, functions: Functions): Set<string> {
  const operators = new Set<string>()
  const seen = new Set<string>()
  const queue = [...graph.operators]
  for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
    if (seen.has(id)) continue
    seen.add(id)
    const body = functions.get(id)
    if (body === undefined) operators.add(id)
    else for (const used of body.operators) queue.push(used)
  }
  return operators
}

function* readOpset(reader: Reader): Reading<{ domain: string; version: number }> {
  let domain = ''
  let version = 0n
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) domain = yield* reader.text()
    else if (reader.is(2, VARINT)) version = reader.int()
  }
  return { domain: domain === '' ? 'ai.onnx' : domain, version: Number(version) }
}

function* readFunction(
  reader: Reader,
  externalData: Set<string>,
  watch: Watch,
  index: number,
): Reading<{ id: string; body: Tally }> {
  const body = createTally(externalData, watch)
  const counts = { node: 0, attribute_proto: 0 }
  let name = ''
  let domain = ''
  watch.enter('functions', index)
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) {
      name = yield* reader.text()
      watch.name('the name of a function', name)
    } else if (reader.is(4, BYTES) || reader.is(5, BYTES)) yield* watchName(reader, watch, 'the name of a value')
    else if (reader.is(7, BYTES)) {
      watch.enter('node', counts.node++)
      yield* readNode(reader, body)
      watch.leave()
    } else if (reader.is(9, BYTES)) watch.opset(yield* readOpset(reader))
    else if (reader.is(10, BYTES)) domain = yield* reader.text()
    else if (reader.is(11, BYTES)) yield* readAttribute(reader, body, 'attribute_proto', counts.attribute_proto++)
  }
  watch.leave()
  return { id: operatorId(domain, name), body }
}

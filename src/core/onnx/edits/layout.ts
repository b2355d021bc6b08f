/** Positions of the main graph's parts in a file: a third look at it, for edits. */

import { operatorId } from '../graph.ts'
import { functionId } from '../nodes.ts'
import { BYTES, packedInts, type Reader, type Reading, type Span, VARINT } from '../wire.ts'

export interface LayoutNode {
  readonly span: Span
  /** `domain:Op`. */
  readonly op: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** Names that its subgraphs take and return: some stand for values around them. */
  readonly below: readonly string[]
  /** Of a ZipMap. */
  readonly classes: readonly string[] | undefined
}

export interface Layout {
  /** Of `ir_version`. */
  readonly irVersion: Span | undefined
  readonly graph: Span
  readonly nodes: readonly LayoutNode[]
  /** In order, as the file lists them. */
  readonly outputs: readonly Span[]
  /** Local functions by `functionId`: their calls look like operators. */
  readonly functions: ReadonlySet<string>
}

/** Reads a ModelProto that an earlier pass read without fault. */
export function* readLayout(reader: Reader): Reading<Layout> {
  const nodes: LayoutNode[] = []
  const outputs: Span[] = []
  const functions = new Set<string>()
  let irVersion: Span | undefined
  let graph: Span = { start: 0, lengthAt: 0, body: 0, end: 0 }
  while (yield* reader.next()) {
    if (reader.is(1, VARINT)) irVersion = reader.span()
    else if (reader.is(25, BYTES)) functions.add(yield* readFunctionId(reader))
    else if (reader.is(7, BYTES)) {
      graph = reader.span()
      reader.enter()
      while (yield* reader.next()) {
        if (reader.is(1, BYTES)) nodes.push(yield* readNode(reader))
        else if (reader.is(12, BYTES)) outputs.push(reader.span())
      }
    }
  }
  return { irVersion, graph, nodes, outputs, functions }
}

function* readNode(reader: Reader): Reading<LayoutNode> {
  const span = reader.span()
  const inputs: string[] = []
  const outputs: string[] = []
  const below: string[] = []
  let [op, domain, overload] = ['', '', '']
  let classes: readonly string[] | undefined
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) inputs.push(yield* reader.text())
    else if (reader.is(2, BYTES)) outputs.push(yield* reader.text())
    else if (reader.is(4, BYTES)) op = yield* reader.text()
    else if (reader.is(7, BYTES)) domain = yield* reader.text()
    else if (reader.is(8, BYTES)) overload = yield* reader.text()
    else if (reader.is(5, BYTES)) classes = (yield* readAttribute(reader, below)) ?? classes
  }
  return { span, op: functionId(operatorId(domain, op), overload), inputs, outputs, below, classes }
}

/** @returns the names of classes, if the attribute holds them */
function* readAttribute(reader: Reader, below: string[]): Reading<readonly string[] | undefined> {
  const classes: string[] = []
  let isClasses = false
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) isClasses = CLASSES.has(yield* reader.text())
    else if (reader.is(6, BYTES) || reader.is(11, BYTES)) yield* readSubgraph(reader, below)
    else if (!isClasses) continue
    else if (reader.is(9, BYTES)) classes.push(yield* reader.text())
    else if (reader.is(8, VARINT)) classes.push(String(reader.int()))
    else if (reader.is(8, BYTES)) for (const label of packedInts(yield* reader.bytes())) classes.push(String(label))
  }
  return classes.length > 0 ? classes : undefined
}

const CLASSES: ReadonlySet<string> = new Set(['classlabels_strings', 'classlabels_int64s'])

/** Names taken or returned in a graph below a node. */
function* readSubgraph(reader: Reader, below: string[]): Reading<void> {
  reader.enter()
  while (yield* reader.next()) {
    const isNode = reader.is(1, BYTES)
    if (!isNode && !reader.is(12, BYTES)) continue
    reader.enter()
    while (yield* reader.next()) {
      // The inputs of a node, or the name of an output.
      if (reader.is(1, BYTES)) below.push(yield* reader.text())
      else if (isNode && reader.is(5, BYTES)) yield* readAttribute(reader, below)
    }
  }
}

function* readFunctionId(reader: Reader): Reading<string> {
  let [name, domain, overload] = ['', '', '']
  reader.enter()
  while (yield* reader.next()) {
    if (reader.is(1, BYTES)) name = yield* reader.text()
    else if (reader.is(10, BYTES)) domain = yield* reader.text()
    else if (reader.is(13, BYTES)) overload = yield* reader.text()
  }
  return functionId(operatorId(domain, name), overload)
}

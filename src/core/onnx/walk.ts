/**
 * Follows values through a graph, its subgraphs and the local functions that it calls. The {@link Domain} decides which facts are
 * followed.
 */

import { Malformed } from './malformed.ts'
import { type Constant, type FunctionBody, functionId, type GraphBody, type GraphNode, type Nodes } from './nodes.ts'

/** Facts about values, and their change by operators. */
export interface Domain<T> {
  constant(constant: Constant): T
  /** Declarations of the file about a value, added to the known facts. */
  declared(value: T | undefined, type: number): T | undefined
  /** One of two values, without knowing which. */
  either(a: T | undefined, b: T | undefined): T | undefined
  same(a: T | undefined, b: T | undefined): boolean
  /** Facts that stay true however often a loop repeats. */
  widened(value: T | undefined): T | undefined
  /** One slice of a value along an axis, as Scan takes them. */
  slice(node: GraphNode, value: T | undefined, axis: number): T | undefined
  /** Many such values along a new axis. */
  stacked(value: T | undefined, axis: number): T | undefined
  /** The number of the round that a loop is in. */
  round(): T
  /** An operator other than those that run subgraphs. */
  visit(node: GraphNode, inputs: readonly (T | undefined)[], opset: number): readonly (T | undefined)[]
  /** A value that decides which nodes run, or how often. @returns the branch that certainly runs */
  decides(node: GraphNode, value: T | undefined): boolean | undefined
}

/** Most visits of nodes: functions and loops are walked once per call and round. Takes some hundred milliseconds. */
const MAX_VISITS = 200_000
const MAX_DEPTH = 64
/** Most rounds of a loop that are walked to find facts that hold in all of them. */
const ROUNDS = 3

type Scope<T> = Map<string, T | undefined>
interface Frame<T> {
  readonly values: Scope<T>
  readonly outer: Frame<T> | undefined
}

interface Place {
  readonly opset: number
  readonly depth: number
}

/**
 * @param inputs facts about the graph's inputs
 * @returns facts about the values of the main graph
 * @throws Malformed if a graph calls itself, or is too large to be followed within a moment of the event loop
 */
export function walk<T>(nodes: Nodes, inputs: ReadonlyMap<string, T>, domain: Domain<T>): ReadonlyMap<string, T | undefined> {
  let visits = 0

  function walkBody(body: GraphBody, frame: Frame<T>, place: Place): void {
    if (place.depth > MAX_DEPTH) throw new Malformed('its functions and subgraphs are nested too deep to be followed')
    for (const [name, constant] of body.constants) frame.values.set(name, domain.constant(constant))
    for (const node of body.nodes) {
      if (++visits > MAX_VISITS) throw new Malformed('its graph is too large to be followed')
      const results = outputsOf(node, frame, place)
      for (const [i, name] of node.outputs.entries()) {
        const type = body.types.get(name)
        frame.values.set(name, type === undefined ? results[i] : domain.declared(results[i], type))
      }
    }
  }

  const inputsOf = (node: GraphNode, frame: Frame<T>): readonly (T | undefined)[] =>
    node.inputs.map((name) => (name === '' ? undefined : find(frame, name)))

  function outputsOf(node: GraphNode, frame: Frame<T>, place: Place): readonly (T | undefined)[] {
    const called = nodes.functions.get(functionId(node.op, node.overload))
    if (called) return call(node, called, inputsOf(node, frame), place)
    const below = { ...place, depth: place.depth + 1 }
    const inputs = inputsOf(node, frame)
    switch (node.op) {
      case 'ai.onnx:If':
        return choose(node, inputs, frame, below)
      case 'ai.onnx:Loop':
        return loop(node, inputs, frame, below)
      case 'ai.onnx:Scan':
        return scan(node, inputs, frame, below)
    }
    const results = domain.visit(node, inputs, place.opset)
    // Of other operators with subgraphs, only the facts of their inner nodes are known.
    for (const graph of node.graphs.values()) run(graph, [], frame, below)
    return results
  }

  function run(graph: GraphBody, inputs: readonly (T | undefined)[], outer: Frame<T>, place: Place): readonly (T | undefined)[] {
    const values: Scope<T> = new Map()
    for (const [i, name] of graph.inputs.entries()) {
      const type = graph.types.get(name)
      values.set(name, type === undefined ? inputs[i] : domain.declared(inputs[i], type))
    }
    const frame = { values, outer }
    walkBody(graph, frame, place)
    return graph.outputs.map((name) => find(frame, name))
  }

  function call(
    node: GraphNode,
    body: FunctionBody,
    inputs: readonly (T | undefined)[],
    place: Place,
  ): readonly (T | undefined)[] {
    const bound = { ...body, nodes: body.nodes.map((inner) => boundTo(node, body, inner)) }
    return run(
      bound,
      inputs,
      { values: new Map(), outer: undefined },
      { opset: body.opset || place.opset, depth: place.depth + 1 },
    )
  }

  function choose(
    node: GraphNode,
    [condition]: readonly (T | undefined)[],
    frame: Frame<T>,
    place: Place,
  ): readonly (T | undefined)[] {
    const certain = domain.decides(node, condition)
    const branches = [
      ...(certain === false ? [] : [node.graphs.get('then_branch')]),
      ...(certain === true ? [] : [node.graphs.get('else_branch')]),
    ].filter((graph) => graph !== undefined)
    const [first = [], ...others] = branches.map((graph) => run(graph, [], frame, place))
    return first.map((value, i) => others.reduce((known: T | undefined, results) => domain.either(known, results[i]), value))
  }

  /** Walks a body until the facts going into a round equal those that came out of the last. */
  function rounds(
    carried: readonly (T | undefined)[],
    round: (carried: readonly (T | undefined)[]) => readonly (T | undefined)[],
  ): readonly (T | undefined)[] {
    let before = carried
    for (let i = 0; ; i++) {
      const results = round(before)
      const after = before.map((value, at) => domain.either(value, results[at]))
      const changed = after.map((value, at) => !domain.same(value, before[at]))
      if (!changed.includes(true)) return results
      before = i < ROUNDS ? after : after.map((value, at) => (changed[at] ? domain.widened(value) : value))
      if (i > 2 * ROUNDS) throw new Malformed('a loop could not be followed')
    }
  }

  function loop(node: GraphNode, inputs: readonly (T | undefined)[], frame: Frame<T>, place: Place): readonly (T | undefined)[] {
    const body = node.graphs.get('body')
    const [trips, goOn, ...carried] = inputs
    if (!body) return []
    if (node.inputs[0]) domain.decides(node, trips)
    if (node.inputs[1]) domain.decides(node, goOn)
    let stacked: readonly (T | undefined)[] = []
    const results = rounds(carried, (state) => {
      const [decision, ...rest] = run(body, [domain.round(), undefined, ...state], frame, place)
      domain.decides(node, decision)
      stacked = rest.slice(carried.length).map((value) => domain.stacked(value, 0))
      return rest.slice(0, carried.length)
    })
    return [...results.map((value, i) => domain.either(carried[i], value)), ...stacked]
  }

  function scan(node: GraphNode, inputs: readonly (T | undefined)[], frame: Frame<T>, place: Place): readonly (T | undefined)[] {
    const body = node.graphs.get('body')
    const count = node.ints.get('num_scan_inputs')?.[0] ?? 0
    if (!body) return []
    const carried = inputs.slice(0, inputs.length - count)
    const axes = node.ints.get('scan_input_axes') ?? []
    const slices = inputs.slice(carried.length).map((value, i) => domain.slice(node, value, axes[i] ?? 0))
    const outputAxes = node.ints.get('scan_output_axes') ?? []
    let stacked: readonly (T | undefined)[] = []
    const results = rounds(carried, (state) => {
      const rest = run(body, [...state, ...slices], frame, place)
      stacked = rest.slice(carried.length).map((value, i) => domain.stacked(value, outputAxes[i] ?? 0))
      return rest.slice(0, carried.length)
    })
    return [...results.map((value, i) => domain.either(carried[i], value)), ...stacked]
  }

  const main: Frame<T> = { values: new Map(inputs), outer: undefined }
  walkBody(nodes, main, { opset: nodes.opset, depth: 0 })
  return main.values
}

function find<T>(frame: Frame<T>, name: string): T | undefined {
  for (let at: Frame<T> | undefined = frame; at; at = at.outer) if (at.values.has(name)) return at.values.get(name)
  return undefined
}

/** A function's node with the attributes that it takes from its call. */
function boundTo(call: GraphNode, { defaults }: FunctionBody, inner: GraphNode): GraphNode {
  if (inner.references.size === 0) return inner
  const ints = new Map(inner.ints)
  const texts = new Map(inner.texts)
  for (const [name, reference] of inner.references) {
    const value = call.ints.get(reference) ?? defaults.get(reference)
    const text = call.texts.get(reference)
    if (value) ints.set(name, value)
    if (text !== undefined) texts.set(name, text)
  }
  return { ...inner, ints, texts }
}

/**
 * Finds operators whose work depends on the values of a request, so that no trial can tell how long a run takes: control flow, operators
 * whose results have as many elements as values say, and operators that ONNX does not define.
 */

import { Malformed } from './malformed.ts'
import type { GraphNode, Nodes } from './nodes.ts'
import { type Fact, firstReason, given, sentence } from './origins.ts'

const standard = (names: string): readonly string[] => names.split(' ').map((name) => `ai.onnx:${name}`)

/** They run subgraphs: a number of times, or one of several, or once for each element of a sequence. */
const CONTROL_FLOW: ReadonlySet<string> = new Set(standard('If Loop Scan SequenceMap'))

/** The number of elements in their results is known only once they have run. */
const COUNTING: ReadonlySet<string> = new Set(standard('Compress NonMaxSuppression NonZero StringSplit Unique'))

/** The inputs that say how large a result is. */
const SIZES: ReadonlyMap<string, readonly number[]> = new Map(
  Object.entries({
    AffineGrid: [1],
    BlackmanWindow: [0],
    CenterCropPad: [1],
    Col2Im: [1, 2],
    ConstantOfShape: [0],
    DFT: [1],
    Expand: [1],
    HammingWindow: [0],
    HannWindow: [0],
    MaxUnpool: [2],
    MelWeightMatrix: [0, 1, 2, 3, 4],
    OneHot: [1],
    Pad: [1],
    Range: [0, 1, 2],
    Resize: [2, 3],
    STFT: [1, 3],
    Tile: [1],
    TopK: [1],
    Upsample: [1],
  }).map(([name, inputs]) => [`ai.onnx:${name}`, inputs]),
)

/** Those that ONNX defines; `ai.onnx` also stands for the domain without a name. */
const DOMAINS = /^ai\.onnx(?:\.ml)?:/

const nameOf = (op: string): string => op.slice(op.indexOf(':') + 1)

/** The first such operator that the name alone shows, as a sentence. @param operators of the file with its subgraphs, `domain:Op` */
export function unboundedByName(operators: readonly string[]): string | undefined {
  for (const op of operators) {
    if (!DOMAINS.test(op)) return `operator ${op} is not one of ONNX's own`
    if (CONTROL_FLOW.has(op)) return `operator ${nameOf(op)} is control flow`
    if (COUNTING.has(op)) return `operator ${nameOf(op)} gives as many elements as the values of a request make it`
  }
  return undefined
}

/** Whether the graph has to be read to know the others. */
export const needsSizing = (operators: readonly string[]): boolean => operators.some((op) => SIZES.has(op))

/** The first operator that takes the size of its result from values of a request, as a sentence with its node. */
export function findSizedByValues(graph: Nodes): string | undefined {
  try {
    return firstReason(graph, reasonOf)
  } catch (error) {
    if (!(error instanceof Malformed)) throw error
    return `its values cannot be followed: ${error.message}`
  }
}

function reasonOf(node: GraphNode, facts: readonly (Fact | undefined)[]): string | undefined {
  const known = given(node, facts)
  const isSent = SIZES.get(node.op)?.some((index) => known[index]?.origin === 'request')
  return isSent ? sentence(node, 'takes the size of its result from values of the request') : undefined
}

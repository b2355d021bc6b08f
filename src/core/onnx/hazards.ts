/**
 * Finds operators that can end the process inside ONNX Runtime by the values of a request.
 * These are integer divisions by a value of the request, and STFT with a frame length that is no constant.
 * Values are followed far enough to leave alone the many divisions that exporters write.
 */

import { Malformed } from './malformed.ts'
import type { GraphNode, Nodes } from './nodes.ts'
import { type Fact, firstReason, given, sentence, UNKNOWN } from './origins.ts'

const DIVISIONS: ReadonlySet<string> = new Set(['ai.onnx:Div', 'ai.onnx:Mod'])
const [INT32, INT64] = [6, 7]
const STFT = 'ai.onnx:STFT'
const FRAME_LENGTH = 3

/** Whether the file has such operators at all. @param operators of the file, `domain:Op` */
export const needsJudging = (operators: readonly string[]): boolean => operators.some((op) => DIVISIONS.has(op) || op === STFT)

/** The first such operator, as a sentence with its node; `undefined` if the graph has none. */
export function findHazard(graph: Nodes): string | undefined {
  try {
    return firstReason(graph, reasonOf)
  } catch (error) {
    if (!(error instanceof Malformed)) throw error
    return `its values cannot be judged: ${error.message}`
  }
}

function reasonOf(node: GraphNode, facts: readonly (Fact | undefined)[]): string | undefined {
  if (node.op === STFT) {
    const length = given(node, facts)[FRAME_LENGTH]
    return length && length.origin !== 'constants'
      ? sentence(node, 'takes its frame length from values of the request')
      : undefined
  }
  if (!DIVISIONS.has(node.op)) return undefined
  const [dividend = UNKNOWN, divisor = UNKNOWN] = facts
  const type = divisor.type || dividend.type
  if (type !== 0 && type !== INT32 && type !== INT64) return undefined
  return isHarmless(divisor) ? undefined : sentence(node, 'divides integers by values of the request')
}

const isHarmless = ({ origin, range }: Fact): boolean =>
  origin === 'shapes' || (range !== undefined && (range[0] >= 1 || range[1] < -1))

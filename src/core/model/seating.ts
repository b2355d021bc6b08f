/** Which models share a worker thread: small ones whose runs always end soon, and that asked for nothing that a thread of their own would need. */

import { stat } from 'node:fs/promises'
import type { OnnxModelFacts } from '../onnx/types.ts'
import type { ModelConfig } from '../options/index.ts'

/** Of the file with its weights. */
const MOST_BYTES = 2 ** 20
/** ONNX Runtime looks at each node several times while it loads. */
const MOST_NODES = 1000
/** Their runs take as long as the values of a request say. */
const CONTROL_FLOW = new Set(['Loop', 'If', 'Scan', 'SequenceMap'].map((name) => `ai.onnx:${name}`))
/** Of ONNX Runtime itself. */
const KNOWN_DOMAINS = /^(ai\.onnx|ai\.onnx\.ml|com\.microsoft):/

/** Whether a model may share a thread, as far as that is known before its file was read. */
export async function isSmall({ source, ownWorker }: Pick<ModelConfig, 'source' | 'ownWorker'>): Promise<boolean> {
  if (ownWorker !== undefined) return false
  if (typeof source !== 'string') return source.byteLength <= MOST_BYTES
  const found = await stat(source).catch(() => undefined)
  return found !== undefined && found.size <= MOST_BYTES
}

/** Why a model does not share a thread; `undefined` for one that does. */
export function reasonForOwnWorker(
  config: Pick<ModelConfig, 'ownWorker'>,
  facts: OnnxModelFacts | undefined,
  bytes: number,
): string | undefined {
  if (config.ownWorker !== undefined) return config.ownWorker
  if (!facts) return 'the inside of files in the .ort format is not known'
  if (bytes > MOST_BYTES) return `it takes ${bytes} bytes, and models of up to ${MOST_BYTES} share a thread`
  if (facts.nodeCount > MOST_NODES) return `it has ${facts.nodeCount} nodes, and models of up to ${MOST_NODES} share a thread`
  const unbounded = facts.operators.find((operator) => CONTROL_FLOW.has(operator))
  if (unbounded !== undefined) return `operator ${unbounded.replace('ai.onnx:', '')} runs for as long as a request wants`
  const custom = facts.operators.find((operator) => !KNOWN_DOMAINS.test(operator))
  return custom === undefined ? undefined : `nothing is known of operator ${custom}`
}

/** The limit: a process that does nothing but one `session.run()` after the other. */

import type { InferenceSession } from 'onnxruntime-node'
import { answerParent } from '../lib/child.ts'
import { openSession, runRows } from '../lib/direct.ts'
import { latencies } from '../lib/loops.ts'

export type RawAsk =
  | { readonly kind: 'load'; readonly model: Uint8Array; readonly width: number }
  | { readonly kind: 'run'; readonly rows: number; readonly ms: number }

/** Rows per second; 0 after a load. */
export type RawAnswer = number

let session: InferenceSession | undefined
let width = 0

answerParent(async (ask: RawAsk): Promise<RawAnswer> => {
  if (ask.kind === 'load') {
    session = await openSession(ask.model)
    width = ask.width
    return 0
  }
  const loaded = session
  if (!loaded) throw new Error('no model is loaded')
  const input = Float32Array.from({ length: ask.rows * width }, () => Math.random() * 2 - 1)
  const start = performance.now()
  const samples = await latencies(ask.ms, () => runRows(loaded, input, ask.rows))
  return (samples.length * ask.rows * 1000) / (performance.now() - start)
})

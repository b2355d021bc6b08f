/** The limit: a process that does nothing but one `session.run()` after the other. */

import type { InferenceSession } from 'onnxruntime-node'
import { answerParent } from '../lib/child.ts'
import { openSession, runRows } from '../lib/direct.ts'
import { product } from '../lib/inputs.ts'
import { latencies } from '../lib/loops.ts'

export type RawAsk =
  | { readonly kind: 'load'; readonly model: Uint8Array; readonly rowDims: readonly number[] }
  | { readonly kind: 'run'; readonly rows: number; readonly arena: boolean; readonly ms: number }

/** Zeros after a load. */
export interface RawAnswer {
  /** Rows per second. */
  readonly rate: number
  /** Of one run: the shortest, because noise only ever adds. Of long runs, which are always interrupted, their CPU time. */
  readonly runMs: number
}

/** Shorter runs are told by the clock: CPU time is not exact enough for them, and reading it is not free. */
const LONG_MS = 2

let sessions: { readonly off: InferenceSession; readonly on: InferenceSession } | undefined
let rowDims: readonly number[] = []

answerParent(async (ask: RawAsk): Promise<RawAnswer> => {
  if (ask.kind === 'load') {
    sessions = { off: await openSession(ask.model), on: await openSession(ask.model, true) }
    rowDims = ask.rowDims
    return { rate: 0, runMs: 0 }
  }
  const session = sessions?.[ask.arena ? 'on' : 'off']
  if (!session) throw new Error('no model is loaded')
  const input = Float32Array.from({ length: ask.rows * product(rowDims) }, () => Math.random() * 2 - 1)
  const run = () => runRows(session, input, ask.rows, rowDims)
  const cpuMs: number[] = []
  const measured = async () => {
    const before = process.cpuUsage()
    await run()
    const { user, system } = process.cpuUsage(before)
    cpuMs.push((user + system) / 1000)
  }
  const first = performance.now()
  await run()
  const start = performance.now()
  const samples = await latencies(ask.ms, start - first > LONG_MS ? measured : run)
  return {
    rate: (samples.length * ask.rows * 1000) / (performance.now() - start),
    runMs: Math.min(...samples, ...cpuMs),
  }
})

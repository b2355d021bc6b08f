/** How much of the time a worker that has work spends inside ONNX Runtime. */

import { createModelServer, type RunEnd } from 'modelmount'
import { mlpModel } from '../tools/models.mjs'
import { SESSION } from './lib/direct.ts'
import { rotatingFloats } from './lib/inputs.ts'
import { closedLoop } from './lib/loops.ts'
import { type Bench, rowOfRatios, type Target } from './lib/row.ts'
import { median } from './lib/stats.ts'
import { PROMISES } from './promises.ts'

const MS = 400
const ROUNDS = 15
const CALLERS = 64
const WIDTH = 256

interface Round {
  /** Share of the wall inside ONNX Runtime. */
  readonly share: number
  /** Microseconds from the end of a run to the begin of the next, in the middle. */
  readonly gapUs: number
  readonly rows: number
}

async function measure(target: Target) {
  let runs: RunEnd[] = []
  const server = await createModelServer({
    models: [{ name: 'm', source: mlpModel({ layers: [WIDTH, 1024, 1024, 10] }), session: SESSION }],
    telemetry: { run: (run) => void runs.push(run) },
    strict: true,
    logger: false,
  })
  const floats = rotatingFloats(WIDTH)
  const ask = (i: number) => server.predict('m', { features: { type: 'float32', dims: [1, WIDTH], data: floats(i) } })

  async function round(): Promise<Round> {
    runs = []
    const start = performance.now()
    await closedLoop(CALLERS, MS, ask)
    const wallMs = performance.now() - start
    const busyMs = runs.reduce((sum, { inferMs }) => sum + inferMs, 0)
    const spans = runs.map(({ sentAt, inputMs, inferMs }) => ({ begin: sentAt + inputMs, end: sentAt + inputMs + inferMs }))
    const gaps = spans.slice(1).map(({ begin }, i) => 1000 * (begin - (spans[i]?.end ?? begin)))
    const rows = runs.reduce((sum, run) => sum + run.rows, 0) / runs.length
    return { share: busyMs / wallMs, gapUs: median(gaps), rows }
  }

  await round()
  const rounds: Round[] = []
  for (let i = 0; i < ROUNDS; i++) rounds.push(await round())
  await server.close()
  const shares = rounds.map(({ share }) => share)
  return rowOfRatios({
    bench: 'worker-fed',
    what: `predict(), 5 MB MLP, ${CALLERS} callers, worker inside ONNX Runtime`,
    ours: `${(100 * median(shares)).toFixed(0)} %`,
    rival: 'the wall: 100 %',
    ratios: shares,
    target,
    how: `by the worker's own reports, ${ROUNDS} closed loops of ${MS} ms`,
    note: `${median(rounds.map(({ gapUs }) => gapUs)).toFixed(0)} us between runs, ${median(rounds.map(({ rows }) => rows)).toFixed(1)} rows in a run`,
  })
}

export const workerFed: Bench = {
  name: 'worker-fed',
  limitS: 60,
  run: async () => [await measure(PROMISES.workerFed)],
}

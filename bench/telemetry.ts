/** What being watched costs: throughput of a route with telemetry over the same without, and one collection of a hundred models. */

import { mlpModel } from '../tools/models.mjs'
import { PATH } from './apps/rivals.ts'
import type { LoadAnswer, LoadAsk } from './children/load.ts'
import type { Mode, TelemetryAnswer, TelemetryAsk } from './children/telemetry.ts'
import { startChild } from './lib/child.ts'
import { postRequest } from './lib/http-connection.ts'
import { rotatingFloats } from './lib/inputs.ts'
import { measurePairs } from './lib/pairs.ts'
import { type Bench, milliseconds, pairedRow, perSecond, type Row, rowOfRatios } from './lib/row.ts'

const CONNECTIONS = 64
const MS = 700
const PAIRS = 5
const COLLECT_LIMIT_MS = 10

const WATCHED: readonly { readonly mode: Mode; readonly what: string; readonly least: number }[] = [
  { mode: 'metrics', what: 'metrics', least: 0.97 },
  { mode: 'sampled', what: 'metrics, 1 % of traces', least: 0.93 },
  { mode: 'all', what: 'metrics, all traces kept in memory', least: 0.75 },
]

export const telemetry: Bench = {
  name: 'telemetry',
  limitS: 90,
  async run(): Promise<Row[]> {
    const model = mlpModel({ layers: [32, 16, 2] })
    const floats = rotatingFloats(32)
    const requests = Array.from({ length: 64 }, (_, i) =>
      postRequest(PATH, { inputs: [{ name: 'features', datatype: 'FP32', shape: [1, 32], data: Array.from(floats(i)) }] }),
    )
    const apps = new Map(
      (['off', 'metrics', 'sampled', 'all'] as const).map((mode) => [
        mode,
        startChild<TelemetryAsk, TelemetryAnswer>('children/telemetry.ts'),
      ]),
    )
    const load = startChild<LoadAsk, LoadAnswer>('children/load.ts')
    const answers = new Map<Mode, TelemetryAnswer>()
    for (const [mode, app] of apps) answers.set(mode, await app.ask({ mode, model }))
    const rate = async (mode: Mode): Promise<number> => {
      const answer = await load.ask({ port: answers.get(mode)?.port ?? 0, connections: CONNECTIONS, ms: MS, requests })
      if (answer.failures > 0) throw new Error(`${answer.failures} requests failed`)
      return answer.rate
    }
    const rows: Row[] = []
    for (const { mode, what, least } of WATCHED)
      rows.push(
        pairedRow({
          bench: 'telemetry',
          what: `Express, ${CONNECTIONS} connections, ${what}`,
          rival: 'without telemetry',
          pairs: await measurePairs({ ours: () => rate(mode), rival: () => rate('off'), pairs: PAIRS }),
          format: perSecond,
          target: { op: '>=', value: least },
          how: `keep-alive, closed loop of ${MS} ms`,
        }),
      )
    const { models = 0, ms = Number.NaN, bytes = 0 } = answers.get('metrics')?.collect ?? {}
    rows.push(
      rowOfRatios({
        bench: 'telemetry',
        what: `event loop of the host for /metrics of ${models} models (${(bytes / 1024).toFixed(0)} KiB)`,
        ours: milliseconds(ms),
        rival: `limit: ${COLLECT_LIMIT_MS} ms`,
        ratios: [ms / COLLECT_LIMIT_MS],
        target: { op: '<=', value: 1 },
        how: 'median of 12 collections',
      }),
    )
    await Promise.all([load.stop(), ...[...apps.values()].map((app) => app.stop())])
    return rows
  },
}

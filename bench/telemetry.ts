/** What being watched costs: how many requests a second of the host's thread answers with telemetry over the same without, and one collection. */

import { mlpModel } from '../tools/models.mjs'
import { PATH } from './apps/rivals.ts'
import type { LoadAnswer, LoadAsk } from './children/load.ts'
import type { CollectAnswer, CollectAsk, CpuAsk, Mode, TelemetryAnswer, TelemetryAsk } from './children/telemetry.ts'
import { startChild } from './lib/child.ts'
import { postRequest } from './lib/http-connection.ts'
import { rotatingFloats } from './lib/inputs.ts'
import { measurePairs } from './lib/pairs.ts'
import { type Bench, milliseconds, pairedRow, perSecond, type Row, rowOfRatios } from './lib/row.ts'

const CONNECTIONS = 64
/**
 * A few percent are looked for. Two processes of the same app differ by that much, as they happen to be compiled, so the rival is in ours; and
 * what else runs on the machine takes more, so it is the thread's CPU time that counts, in short runs.
 */
const MS = 300
const PAIRS = 11
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
    const load = startChild<LoadAsk, LoadAnswer>('children/load.ts')
    const rows: Row[] = []
    for (const { mode, what, least } of WATCHED) {
      const app = startChild<TelemetryAsk | CpuAsk, TelemetryAnswer | number>('children/telemetry.ts')
      const { port, offPort } = (await app.ask({ mode, model })) as TelemetryAnswer
      const rate = async (port: number): Promise<number> => {
        const before = (await app.ask({ mode: 'cpu' })) as number
        const { answered, failures } = await load.ask({ port, connections: CONNECTIONS, ms: MS, requests })
        if (failures > 0) throw new Error(`${failures} requests failed`)
        return (answered * 1000) / (((await app.ask({ mode: 'cpu' })) as number) - before)
      }
      rows.push(
        pairedRow({
          bench: 'telemetry',
          what: `Express, ${CONNECTIONS} connections, ${what}`,
          rival: 'without telemetry',
          pairs: await measurePairs({ ours: () => rate(port), rival: () => rate(offPort), pairs: PAIRS }),
          format: perSecond,
          target: { op: '>=', value: least },
          how: `requests per second of CPU of the host's thread, both in one process, closed loop of ${MS} ms`,
        }),
      )
      await app.stop()
    }
    await load.stop()
    const collector = startChild<CollectAsk, CollectAnswer>('children/telemetry.ts')
    const { models, ms, bytes } = await collector.ask({ mode: 'collect', model })
    await collector.stop()
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
    return rows
  },
}

/**
 * The cost of telemetry: requests per second of an app with it over the same app without, by the clock and by the CPU time of the host's
 * thread, and the duration of one collection.
 */

import { mlpModel } from '../tools/models.mjs'
import { PATH } from './apps/rivals.ts'
import type { LoadAnswer, LoadAsk } from './children/load.ts'
import type { CollectAnswer, CollectAsk, CpuAsk, Mode, TelemetryAnswer, TelemetryAsk } from './children/telemetry.ts'
import { startChild } from './lib/child.ts'
import { postRequest } from './lib/http-connection.ts'
import { rotatingFloats } from './lib/inputs.ts'
import { pairsOf } from './lib/pairs.ts'
import { type Bench, milliseconds, pairedRow, perSecond, type Row, rowOfRatios, type Target } from './lib/row.ts'
import { PROMISES } from './promises.ts'

const CONNECTIONS = 64
/**
 * A few percent are looked for. Two processes of the same app differ by that much, as they happen to be compiled, so the rival is in ours. A
 * single turn of the very same app is off by six percent, whatever its length, so there are many short ones, on connections that stay.
 */
const TURN_MS = 100
const WARM_UP_MS = 1000
const COLLECT_LIMIT_MS = 10

interface Watched {
  readonly mode: Mode
  readonly what: string
  readonly target: Target
  /** The closer the promise, the more of them. */
  readonly pairs: number
}

const WATCHED: readonly Watched[] = [
  { mode: 'metrics', what: 'metrics', target: PROMISES.telemetryMetrics, pairs: 80 },
  { mode: 'sampled', what: 'metrics, 1 % of traces', target: PROMISES.telemetrySampled, pairs: 40 },
  { mode: 'all', what: 'metrics, all traces kept in memory', target: PROMISES.telemetryAll, pairs: 20 },
]

interface Turn {
  /** Requests per second. */
  readonly byClock: number
  /** Requests per second of CPU of the host's thread. */
  readonly byCpu: number
}

type Load = ReturnType<typeof startChild<LoadAsk, LoadAnswer>>

/** Turns of the app without telemetry and with it, one after the other: one more of those without. */
async function takeTurns(mode: Mode, pairs: number, model: Uint8Array, load: Load, requests: readonly Buffer[]) {
  const app = startChild<TelemetryAsk | CpuAsk, TelemetryAnswer | number>('children/telemetry.ts')
  const { port, offPort } = (await app.ask({ mode, model })) as TelemetryAnswer

  async function turn(port: number, ms = TURN_MS): Promise<Turn> {
    const before = (await app.ask({ mode: 'cpu' })) as number
    const { rate, answered, failures } = await load.ask({ port, connections: CONNECTIONS, ms, requests, stay: true })
    if (failures > 0) throw new Error(`${failures} requests failed`)
    return { byClock: rate, byCpu: (answered * 1000) / (((await app.ask({ mode: 'cpu' })) as number) - before) }
  }

  for (const each of [offPort, port]) await turn(each, WARM_UP_MS)
  const ours: Turn[] = []
  const rival = [await turn(offPort)]
  while (ours.length < pairs) {
    ours.push(await turn(port))
    rival.push(await turn(offPort))
  }
  await app.stop()
  return { ours, rival }
}

export const telemetry: Bench = {
  name: 'telemetry',
  limitS: 90,
  async run(): Promise<Row[]> {
    const model = mlpModel({ layers: [32, 16, 2] })
    const floats = rotatingFloats(32)
    const requests = Array.from({ length: 64 }, (_, i) =>
      postRequest(PATH, { inputs: [{ name: 'features', datatype: 'FP32', shape: [1, 32], data: Array.from(floats(i)) }] }),
    )
    const rows: Row[] = []
    for (const { mode, what, target, pairs } of WATCHED) {
      const load = startChild<LoadAsk, LoadAnswer>('children/load.ts')
      const { ours, rival } = await takeTurns(mode, pairs, model, load, requests)
      await load.stop()
      const row = (figure: keyof Turn, where: string, how: string): Row =>
        pairedRow({
          bench: 'telemetry',
          what: `Express, ${CONNECTIONS} connections, ${what}${where}`,
          rival: 'without telemetry',
          pairs: pairsOf(
            ours.map((turn) => turn[figure]),
            rival.map((turn) => turn[figure]),
          ),
          format: perSecond,
          target,
          how: `${how}, both in one process, closed loop of ${TURN_MS} ms`,
        })
      rows.push(row('byClock', '', 'requests per second'))
      rows.push(row('byCpu', ": CPU of the host's thread", 'requests per second of it, in the same turns'))
    }
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
        target: PROMISES.collection,
        how: 'median of 12 collections',
      }),
    )
    return rows
  },
}

/** Our HTTP route against the routes that one writes without us, on the same framework, from one connection to very many. */

import { mlpModel } from '../tools/models.mjs'
import type { AppAsk, Framework } from './apps/ask.ts'
import type { LoadAnswer, LoadAsk } from './children/load.ts'
import { jsonRequests, startJsonApps } from './lib/apps.ts'
import { type Child, startChild } from './lib/child.ts'
import { measurePairs } from './lib/pairs.ts'
import { type Bench, pairedRow, perSecond, type Row, type Target } from './lib/row.ts'
import { PROMISES } from './promises.ts'

const FLOATS = 32
const MS = 500
const WARM_MS = 2000
/** Also the number of connections that the apps are warmed up with, and that piscina finds its best configuration for. */
const MANY = 64

type Load = Child<LoadAsk, LoadAnswer>

/** `ours` runs on the host where that has room, and `worker` nowhere but in the worker. */
type Side = 'ours' | 'worker' | 'naive' | 'piscina'

interface Cell {
  /** @default 'ours' */
  readonly side?: Side
  /** @default 'naive' */
  readonly rival?: Side
  readonly connections: number
  readonly pairs: number
  readonly target?: Target
}

const SIDES: Readonly<Record<Side, Pick<AppAsk, 'kind' | 'inline'>>> = {
  ours: { kind: 'ours', inline: 'auto' },
  worker: { kind: 'ours', inline: false },
  naive: { kind: 'naive' },
  piscina: { kind: 'piscina' },
}
const NAMES: Readonly<Partial<Record<Side, string>>> = { ours: "inline: 'auto'", worker: 'inline: false' }

const CELLS: Readonly<Partial<Record<Framework, readonly Cell[]>>> = {
  express: [
    { connections: 1, pairs: 3, target: PROMISES.expressNaive1 },
    { connections: 8, pairs: 3, target: PROMISES.expressNaive8 },
    { connections: MANY, pairs: 3, target: PROMISES.expressNaive64 },
    { connections: 256, pairs: 3, target: PROMISES.expressNaive256 },
  ],
  fastify: [
    { connections: 1, pairs: 5, target: PROMISES.fastifyNaive1 },
    { connections: 8, pairs: 5, target: PROMISES.fastifyNaive8 },
    { connections: MANY, pairs: 5, target: PROMISES.fastifyNaive64 },
    { connections: 256, pairs: 5, target: PROMISES.fastifyNaive256 },
    { side: 'worker', connections: 1, pairs: 3 },
    { side: 'worker', connections: 8, pairs: 3 },
    { side: 'worker', connections: MANY, pairs: 3 },
    // Beside the faster framework only.
    { rival: 'piscina', connections: MANY, pairs: 3 },
  ],
}

async function rowsOf(framework: Framework, cells: readonly Cell[], load: Load): Promise<Row[]> {
  const model = mlpModel({ layers: [FLOATS, 16, 2] })
  const sides = new Set(cells.flatMap(({ side = 'ours', rival = 'naive' }) => [side, rival]))
  const asks = {} as Record<Side, AppAsk>
  for (const side of sides) asks[side] = { framework, model, length: FLOATS, ...SIDES[side] }
  const apps = await startJsonApps(asks, jsonRequests({ name: 'features', length: FLOATS }))
  const rate = async (side: Side, connections: number, ms = MS): Promise<number> => {
    const answer = await load.ask({ port: apps.port[side], connections, ms, requests: apps.requests })
    if (answer.failures > 0) throw new Error(`${side}: ${answer.failures} requests failed`)
    return answer.rate
  }
  for (const side of sides) await rate(side, MANY, WARM_MS)
  const rows: Row[] = []
  for (const { side = 'ours', rival = 'naive', connections, pairs, target } of cells) {
    rows.push(
      pairedRow({
        bench: 'http-json',
        what: `${framework}, ${NAMES[side]}, JSON, 32-16-2 MLP, ${connections} connection${connections > 1 ? 's' : ''}`,
        rival: apps.label[rival],
        pairs: await measurePairs({
          ours: () => rate(side, connections),
          rival: () => rate(rival, connections),
          pairs,
          areWarm: true,
        }),
        format: perSecond,
        target,
        how: `keep-alive, closed loop of ${MS} ms after ${WARM_MS} ms of warm-up`,
      }),
    )
  }
  await apps.stop()
  return rows
}

export const httpJson: Bench = {
  name: 'http-json',
  limitS: 150,
  async run() {
    const load = startChild<LoadAsk, LoadAnswer>('children/load.ts')
    const rows: Row[] = []
    for (const [framework, cells] of Object.entries(CELLS) as [Framework, readonly Cell[]][])
      rows.push(...(await rowsOf(framework, cells, load)))
    await load.stop()
    return rows
  },
}

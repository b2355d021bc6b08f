/** Our HTTP route against the routes that one writes without us, on the same framework, from one connection to very many. */

import { mlpModel } from '../tools/models.mjs'
import type { Framework } from './apps/ask.ts'
import type { LoadAnswer, LoadAsk } from './children/load.ts'
import { startApps } from './lib/apps.ts'
import { type Child, startChild } from './lib/child.ts'
import { measurePairs } from './lib/pairs.ts'
import { type Bench, pairedRow, perSecond, type Row, type Target } from './lib/row.ts'
import { PROMISES } from './promises.ts'

const MS = 500
const WARM_MS = 2000
/** Also the number of connections that the apps are warmed up with, and that piscina finds its best configuration for. */
const MANY = 64

type Load = Child<LoadAsk, LoadAnswer>

interface Cell {
  readonly rival: 'naive' | 'piscina'
  readonly connections: number
  readonly pairs: number
  readonly target?: Target
}

const naive = (connections: number, pairs: number, target: Target): Cell => ({ rival: 'naive', connections, pairs, target })

const CELLS: Readonly<Partial<Record<Framework, readonly Cell[]>>> = {
  express: [
    naive(1, 3, PROMISES.expressNaive1),
    naive(8, 3, PROMISES.expressNaive8),
    naive(MANY, 3, PROMISES.expressNaive64),
    naive(256, 3, PROMISES.expressNaive256),
  ],
  fastify: [
    naive(1, 5, PROMISES.fastifyNaive1),
    naive(8, 5, PROMISES.fastifyNaive8),
    naive(MANY, 5, PROMISES.fastifyNaive64),
    naive(256, 5, PROMISES.fastifyNaive256),
    // Beside the faster framework only.
    { rival: 'piscina', connections: MANY, pairs: 3 },
  ],
}

async function rowsOf(framework: Framework, cells: readonly Cell[], load: Load): Promise<Row[]> {
  const model = mlpModel({ layers: [32, 16, 2] })
  const kinds = ['ours' as const, ...new Set(cells.map(({ rival }) => rival))]
  const apps = await startApps(framework, kinds, model, { name: 'features', length: 32 })
  const rate = async (kind: (typeof kinds)[number], connections: number, ms = MS): Promise<number> => {
    const answer = await load.ask({ port: apps.port[kind], connections, ms, requests: apps.requests })
    if (answer.failures > 0) throw new Error(`${kind}: ${answer.failures} requests failed`)
    return answer.rate
  }
  for (const kind of kinds) await rate(kind, MANY, WARM_MS)
  const rows: Row[] = []
  for (const { rival, connections, pairs, target } of cells) {
    rows.push(
      pairedRow({
        bench: 'http-json',
        what: `${framework}, JSON, 32-16-2 MLP, ${connections} connection${connections > 1 ? 's' : ''}`,
        rival: apps.label[rival],
        pairs: await measurePairs({
          ours: () => rate('ours', connections),
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

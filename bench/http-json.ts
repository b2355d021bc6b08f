/** Our HTTP route against the routes that one writes without us, on the same framework. */

import { mlpModel } from '../tools/models.mjs'
import type { Framework } from './apps/ask.ts'
import type { LoadAnswer, LoadAsk } from './children/load.ts'
import { startApps } from './lib/apps.ts'
import { startChild } from './lib/child.ts'
import { measurePairs } from './lib/pairs.ts'
import { type Bench, pairedRow, perSecond, type Row, type Target } from './lib/row.ts'
import { PROMISES } from './promises.ts'

const CONNECTIONS = 64
const MS = 700
interface Rival {
  readonly kind: 'naive' | 'piscina'
  readonly pairs: number
  readonly target?: Target
}
const naive = (target: Target): Rival => ({ kind: 'naive', pairs: 5, target })
/** Beside the faster framework only: it takes long to find its best configuration. */
const PISCINA: Rival = { kind: 'piscina', pairs: 2 }

async function rowsOf(framework: Framework, rivals: readonly Rival[]): Promise<Row[]> {
  const model = mlpModel({ layers: [32, 16, 2] })
  const apps = await startApps(framework, ['ours', ...rivals.map(({ kind }) => kind)], model, { name: 'features', length: 32 })
  const load = startChild<LoadAsk, LoadAnswer>('children/load.ts')
  const rate = async (port: number): Promise<number> => {
    const answer = await load.ask({ port, connections: CONNECTIONS, ms: MS, requests: apps.requests })
    if (answer.failures > 0) throw new Error(`${answer.failures} requests failed`)
    return answer.rate
  }
  const rows: Row[] = []
  for (const { kind, pairs, target } of rivals) {
    rows.push(
      pairedRow({
        bench: 'http-json',
        what: `${framework}, JSON, 32-16-2 MLP, ${CONNECTIONS} connections`,
        rival: apps.label[kind],
        pairs: await measurePairs({ ours: () => rate(apps.port.ours), rival: () => rate(apps.port[kind]), pairs }),
        format: perSecond,
        target,
        how: `keep-alive, closed loop of ${MS} ms`,
      }),
    )
  }
  await Promise.all([load.stop(), apps.stop()])
  return rows
}

export const httpJson: Bench = {
  name: 'http-json',
  limitS: 150,
  async run() {
    return [
      ...(await rowsOf('express', [naive(PROMISES.httpJsonExpress)])),
      ...(await rowsOf('fastify', [naive(PROMISES.httpJsonFastify), PISCINA])),
    ]
  },
}

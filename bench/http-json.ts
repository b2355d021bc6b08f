/** Our Express route against the route that one writes first. */

import { mlpModel } from '../tools/models.mjs'
import { startApps } from './apps/both.ts'
import type { LoadAnswer, LoadAsk } from './children/load.ts'
import { startChild } from './lib/child.ts'
import { measurePairs } from './lib/pairs.ts'
import { type Bench, pairedRow, perSecond } from './lib/row.ts'

const CONNECTIONS = 64
const MS = 1200

export const httpJson: Bench = {
  name: 'http-json',
  limitS: 90,
  async run() {
    const apps = await startApps(mlpModel({ layers: [32, 16, 2] }), { name: 'features', length: 32 })
    const load = startChild<LoadAsk, LoadAnswer>('children/load.ts')
    const rate = async (port: number): Promise<number> => {
      const answer = await load.ask({ port, connections: CONNECTIONS, ms: MS, requests: apps.requests })
      if (answer.failures > 0) throw new Error(`${answer.failures} requests failed`)
      return answer.rate
    }
    const pairs = await measurePairs({ ours: () => rate(apps.ours), rival: () => rate(apps.naive) })
    await Promise.all([load.stop(), apps.stop()])
    return [
      pairedRow({
        bench: 'http-json',
        what: `Express, JSON, 32 floats, ${CONNECTIONS} connections`,
        rival: 'express.json() + session.run() + res.json()',
        pairs,
        format: perSecond,
        target: { op: '>=', value: 1 },
      }),
    ]
  },
}

/** The cost of models without requests. */

import { setTimeout as sleep } from 'node:timers/promises'
import { attentionModel, convModel, matmulChainModel, mlpModel } from '../tools/models.mjs'
import { cpuMs } from './lib/cpu.ts'
import { SESSION } from './lib/direct.ts'
import { createProvedServer } from './lib/proved.ts'
import { type Bench, type Row, rowOfRatios } from './lib/row.ts'
import { median } from './lib/stats.ts'
import { PROMISES } from './promises.ts'

/** Several windows and their median: V8 collects garbage a few more times in the half minute after a load, and that is not idling. */
const WINDOWS = 5
const WINDOW_MS = 3000
const SETTLE_MS = 5000
const LIMIT = 0.01

export const idle: Bench = {
  name: 'idle',
  limitS: 60,
  async run(): Promise<Row[]> {
    const tiny = mlpModel({ layers: [32, 16, 2] })
    const models = [
      { name: 'tiny', source: tiny },
      { name: 'mlp', source: mlpModel({ layers: [256, 1024, 1024, 10] }), instances: 2 },
      { name: 'large', source: matmulChainModel({ size: 768, count: 16 }) },
      { name: 'conv', source: convModel({}), instances: { min: 1, max: 2 } },
      { name: 'attention', source: attentionModel({}) },
      { name: 'process', source: tiny, isolation: 'process' },
    ] as const
    const server = await createProvedServer({ models, session: SESSION, logger: false, strict: true })
    await Promise.all(['tiny', 'process'].map((name) => server.predict(name, { features: new Float32Array(32) })))
    await sleep(SETTLE_MS)
    const shares: number[] = []
    for (let i = 0; i < WINDOWS; i++) {
      const before = cpuMs()
      const start = performance.now()
      await sleep(WINDOW_MS)
      shares.push((cpuMs() - before) / (performance.now() - start))
    }
    await server.close()
    return [
      rowOfRatios({
        bench: 'idle',
        what: `CPU of host and children, ${models.length} models loaded, no requests`,
        ours: `${(median(shares) * 100).toFixed(2)} % of a core`,
        rival: `limit: ${LIMIT * 100} %`,
        ratios: shares.map((share) => share / LIMIT),
        target: PROMISES.idle,
        how: `CPU time in ${WINDOWS} windows of ${WINDOW_MS / 1000} s`,
      }),
    ]
  },
}

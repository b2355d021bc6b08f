/** What models cost while nobody asks for them. */

import { setTimeout as sleep } from 'node:timers/promises'
import { createModelServer } from 'modelmount'
import { attentionModel, convModel, matmulChainModel, mlpModel } from '../tools/models.mjs'
import { cpuMs } from './lib/cpu.ts'
import { SESSION } from './lib/direct.ts'
import { type Bench, type Row, rowOfRatios } from './lib/row.ts'

const WINDOW_MS = 6000
/** Loads, warm-ups and the collection that V8 does some 8 s after them in each worker are not idling. */
const SETTLE_MS = 12_000
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
    const server = await createModelServer({ models, session: SESSION, logger: false, strict: true })
    await Promise.all(['tiny', 'process'].map((name) => server.predict(name, { features: new Float32Array(32) })))
    await sleep(SETTLE_MS)
    const before = cpuMs()
    const start = performance.now()
    await sleep(WINDOW_MS)
    const share = (cpuMs() - before) / (performance.now() - start)
    await server.close()
    return [
      rowOfRatios({
        bench: 'idle',
        what: `CPU of host and children, ${models.length} models loaded, no requests`,
        ours: `${(share * 100).toFixed(2)} % of a core`,
        rival: `limit: ${LIMIT * 100} %`,
        ratios: [share / LIMIT],
        target: { op: '<=', value: 1 },
        how: `CPU time over ${WINDOW_MS / 1000} s`,
      }),
    ]
  },
}

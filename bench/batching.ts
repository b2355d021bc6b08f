/** How near batching comes to what one thread can compute at all. */

import { createModelServer } from 'modelmount'
import { mlpModel } from '../tools/models.mjs'
import type { RawAnswer, RawAsk } from './children/raw.ts'
import { startChild } from './lib/child.ts'
import { SESSION } from './lib/direct.ts'
import { rotatingFloats } from './lib/inputs.ts'
import { closedLoop } from './lib/loops.ts'
import { measurePairs } from './lib/pairs.ts'
import { type Bench, pairedRow, perSecond } from './lib/row.ts'

const CALLERS = 64
const MS = 600
const LAYERS = [256, 1024, 1024, 10]
const WIDTH = 256
/** No batch can be larger than there are callers. */
const ROUNDS = 3
const SIZES = [1, 2, 4, 8, 16, 32, 64]

export const batching: Bench = {
  name: 'batching',
  limitS: 90,
  async run() {
    const source = mlpModel({ layers: LAYERS })
    const raw = startChild<RawAsk, RawAnswer>('children/raw.ts')
    await raw.ask({ kind: 'load', model: source, width: WIDTH })
    let best = { rows: 1, rate: 0 }
    // Several rounds, and the best of each size: a machine that pauses for a moment must not choose a low limit.
    for (let round = 0; round < ROUNDS; round++) {
      for (const rows of SIZES) {
        const rate = await raw.ask({ kind: 'run', rows, ms: 120 })
        if (rate > best.rate) best = { rows, rate }
      }
    }

    const server = await createModelServer({ models: [{ name: 'm', source, session: SESSION }], strict: true })
    const input = rotatingFloats(WIDTH)
    const sizes: number[] = []
    const pairs = await measurePairs({
      ours: () =>
        closedLoop(CALLERS, MS, async (i) => {
          sizes.push((await server.predict('m', { features: input(i) })).batchSize)
        }),
      rival: () => raw.ask({ kind: 'run', rows: best.rows, ms: MS }),
    })
    const { reason } = server.model('m').batching
    await Promise.all([raw.stop(), server.close()])
    const mean = sizes.length / sizes.reduce((sum, size) => sum + 1 / size, 0)
    return [
      pairedRow({
        bench: 'batching',
        what: `predict(), 5 MB MLP, ${CALLERS} callers, rows`,
        rival: `limit: session.run() back to back, ${best.rows} rows`,
        pairs,
        format: perSecond,
        note: `our batches held ${mean.toFixed(1)} rows on average; learned: ${reason}`,
      }),
    ]
  },
}

/** The cost of a process boundary for a single caller on top of a thread boundary. */

import { mlpModel } from '../tools/models.mjs'
import { SESSION } from './lib/direct.ts'
import { rotatingFloats } from './lib/inputs.ts'
import { latencies } from './lib/loops.ts'
import { measurePairs } from './lib/pairs.ts'
import { createProvedServer } from './lib/proved.ts'
import { type Bench, milliseconds, pairedRow } from './lib/row.ts'
import { median } from './lib/stats.ts'
import { PROMISES } from './promises.ts'

const MS = 500

export const processTier: Bench = {
  name: 'process-tier',
  limitS: 60,
  async run() {
    const source = mlpModel({ layers: [32, 16, 2] })
    const server = await createProvedServer({
      models: [
        { name: 'thread', source, session: SESSION, isolation: 'thread' },
        { name: 'process', source, session: SESSION, isolation: 'process' },
      ],
      strict: true,
    })
    const input = rotatingFloats(32)
    const p50 = async (model: string): Promise<number> =>
      median(await latencies(MS, (i) => server.predict(model, { features: input(i) })))
    const pairs = await measurePairs({ ours: () => p50('process'), rival: () => p50('thread') })
    await server.close()
    return [
      pairedRow({
        bench: 'process-tier',
        what: "predict() p50, 32-16-2 MLP, 1 caller, isolation 'process'",
        rival: "isolation 'thread'",
        pairs,
        format: milliseconds,
        target: PROMISES.processTier,
      }),
    ]
  },
}

/** `predict()` of a tiny model against `session.run()` in the caller's thread: what isolation costs, and what batching gives back. */

import { createModelServer } from 'modelmount'
import { mlpModel } from '../tools/models.mjs'
import { openSession, runRows, SESSION } from './lib/direct.ts'
import { rotatingFloats } from './lib/inputs.ts'
import { closedLoop } from './lib/loops.ts'
import { measurePairs } from './lib/pairs.ts'
import { type Bench, pairedRow, perSecond, type Row, type Target } from './lib/row.ts'
import { assertSame } from './lib/same.ts'

const MS = 300
const CALLERS: readonly { readonly callers: number; readonly target?: Target }[] = [
  { callers: 64, target: { op: '>=', value: 0.8 } },
  { callers: 1 },
  { callers: 8 },
  { callers: 512 },
]

export const predict: Bench = {
  name: 'predict',
  limitS: 90,
  async run() {
    const source = mlpModel({ layers: [32, 16, 2] })
    const server = await createModelServer({ models: [{ name: 'm', source, session: SESSION }], strict: true })
    const session = await openSession(source)
    const input = rotatingFloats(32)
    const ours = (i: number) => server.predict('m', { features: input(i) })
    const direct = (i: number) => runRows(session, input(i))
    assertSame((await ours(0)).outputs.scores?.data as Float32Array, (await direct(0)).data as Float32Array)

    const rows: Row[] = []
    for (const { callers, target } of CALLERS) {
      const pairs = await measurePairs({
        ours: () => closedLoop(callers, MS, ours),
        rival: () => closedLoop(callers, MS, direct),
      })
      rows.push(
        pairedRow({
          bench: 'predict',
          what: `predict(), 32-16-2 MLP, ${callers} caller${callers > 1 ? 's' : ''}`,
          rival: 'session.run() on the main thread',
          pairs,
          format: perSecond,
          target,
        }),
      )
    }
    await server.close()
    return rows
  },
}

/** `predict()` of a tiny model against `session.run()` in the caller's thread: the cost of isolation, and the gain of batching. */

import { mlpModel } from '../tools/models.mjs'
import { openSession, runRows, SESSION } from './lib/direct.ts'
import { rotatingFloats } from './lib/inputs.ts'
import { closedLoop } from './lib/loops.ts'
import { measurePairs } from './lib/pairs.ts'
import { startPiscina } from './lib/piscina.ts'
import { createProvedServer } from './lib/proved.ts'
import { type Bench, pairedRow, perSecond, type Row, type Target } from './lib/row.ts'
import { assertSame } from './lib/same.ts'
import { PROMISES } from './promises.ts'

const MS = 300
const MANY = 64
const CALLERS: readonly { readonly callers: number; readonly target?: Target }[] = [
  { callers: MANY, target: PROMISES.predict64 },
  { callers: 512, target: PROMISES.predict512 },
  { callers: 1 },
  { callers: 8 },
]

export const predict: Bench = {
  name: 'predict',
  limitS: 90,
  async run() {
    const source = mlpModel({ layers: [32, 16, 2] })
    const server = await createProvedServer({ models: [{ name: 'm', source, session: SESSION, inline: false }], strict: true })
    const session = await openSession(source)
    const input = rotatingFloats(32)
    const piscina = await startPiscina(source, input, MANY)
    const ours = (i: number) => server.predict('m', { features: input(i) })
    const direct = (i: number) => runRows(session, input(i))
    const pooled = (i: number) => piscina.run(input(i))
    const expected = (await direct(0)).data as Float32Array
    assertSame((await ours(0)).outputs.scores?.data as Float32Array, expected)
    assertSame((await pooled(0)).data, expected)

    async function rowOf(callers: number, rival: string, call: typeof direct | typeof pooled, target?: Target): Promise<Row> {
      const pairs = await measurePairs({
        ours: () => closedLoop(callers, MS, ours),
        rival: () => closedLoop(callers, MS, call),
      })
      return pairedRow({
        bench: 'predict',
        what: `predict(), 32-16-2 MLP, ${callers} caller${callers > 1 ? 's' : ''}`,
        rival,
        pairs,
        format: perSecond,
        target,
        how: `closed loop of ${MS} ms`,
      })
    }

    const rows: Row[] = []
    for (const { callers, target } of CALLERS) rows.push(await rowOf(callers, 'session.run() in the caller', direct, target))
    rows.push(await rowOf(MANY, piscina.label, pooled))
    await Promise.all([server.close(), piscina.stop()])
    return rows
  },
}

/** How near `predict()` comes to what one thread can compute at all. */

import { attentionModel, convModel, matmulChainModel, mlpModel } from '../tools/models.mjs'
import { openSession, runRows, SESSION } from './lib/direct.ts'
import { product, rotatingFloats } from './lib/inputs.ts'
import { startLimit } from './lib/limit.ts'
import { closedLoop } from './lib/loops.ts'
import { measurePairs } from './lib/pairs.ts'
import { createProvedServer } from './lib/proved.ts'
import { type Bench, pairedRow, perSecond, type Row, type Target } from './lib/row.ts'
import { assertSame } from './lib/same.ts'
import { PROMISES } from './promises.ts'

interface Case {
  readonly what: string
  readonly model: Uint8Array
  readonly input: string
  readonly rowDims: readonly number[]
  readonly callers: number
  /** Rows that a run of the limit may have. */
  readonly sizes: readonly number[]
  readonly target: Target
}

const MS = 650
/** No batch can be larger than there are callers. */
const SIZES = [1, 2, 4, 8, 16, 32, 64]

async function rowOf(bench: string, { what, model, input, rowDims, callers, sizes, target }: Case): Promise<Row> {
  const limit = await startLimit(model, rowDims, sizes)
  const server = await createProvedServer({ models: [{ name: 'm', source: model, session: SESSION }], strict: true })
  const floats = rotatingFloats(product(rowDims))
  const ours = (i: number) => server.predict('m', { [input]: { type: 'float32', dims: [1, ...rowDims], data: floats(i) } })
  const session = await openSession(model)
  const [output] = Object.values((await ours(0)).outputs)
  assertSame(output?.data as Float32Array, (await runRows(session, floats(0), 1, rowDims)).data as Float32Array)
  await session.release()

  const pairs = await measurePairs({ ours: () => closedLoop(callers, MS, ours), rival: () => limit.rate(MS) })
  const { batching, queue } = server.model('m')
  await Promise.all([limit.stop(), server.close()])
  return pairedRow({
    bench,
    what: `predict(), ${what}, ${callers} callers, rows`,
    rival: limit.label,
    pairs,
    format: perSecond,
    target,
    how: `one thread each, closed loop of ${MS} ms`,
    note: `${batching.reason}; our runs held ${(queue.rows / queue.batches).toFixed(1)} rows on average`,
  })
}

const benchOf = (name: string, cases: () => readonly Case[]): Bench => ({
  name,
  limitS: 120,
  async run() {
    const rows: Row[] = []
    for (const one of cases()) rows.push(await rowOf(name, one))
    return rows
  },
})

/** Models that gain: the limit is one thread at its best batch size. */
export const batching = benchOf('batching', () => [
  {
    what: '5 MB MLP',
    model: mlpModel({ layers: [256, 1024, 1024, 10] }),
    input: 'features',
    rowDims: [256],
    callers: 64,
    sizes: SIZES,
    target: PROMISES.batching5MB,
  },
  {
    what: '38 MB MLP',
    model: matmulChainModel({ size: 768, count: 16 }),
    input: 'x',
    rowDims: [768],
    callers: 64,
    sizes: SIZES,
    target: PROMISES.batching38MB,
  },
])

/** Models that gain nothing: the limit is one thread with one row after the other. */
export const noGain = benchOf('no-gain', () => [
  {
    what: 'CNN, 3x128x128',
    model: convModel({ size: 128, channels: 24 }),
    input: 'image',
    rowDims: [3, 128, 128],
    callers: 16,
    sizes: [1],
    target: PROMISES.cnn,
  },
  {
    what: 'transformer block, 128x256',
    model: attentionModel({ length: 128, width: 256 }),
    input: 'tokens',
    rowDims: [128, 256],
    callers: 16,
    sizes: [1],
    target: PROMISES.transformer,
  },
])

/** The gain of batching, model by model, and modelmount's choice at load; drawn as a picture. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { attentionModel, convModel, matmulChainModel, mlpModel } from '../tools/models.mjs'
import { SESSION } from './lib/direct.ts'
import { gainChart, gainOf, type Series } from './lib/gain-chart.ts'
import { startLimit } from './lib/limit.ts'
import { createProvedServer } from './lib/proved.ts'
import { type Bench, perSecond, type Row, rowOfRatios } from './lib/row.ts'

interface Case {
  readonly name: string
  readonly model: Uint8Array
  readonly rowDims: readonly number[]
  readonly largest: number
}

const CASES = (): readonly Case[] => [
  { name: 'tabular MLP, 32-16-2', model: mlpModel({ layers: [32, 16, 2] }), rowDims: [32], largest: 256 },
  { name: 'MLP of 5 MB', model: mlpModel({ layers: [256, 1024, 1024, 10] }), rowDims: [256], largest: 256 },
  { name: 'MLP of 38 MB', model: matmulChainModel({ size: 768, count: 16 }), rowDims: [768], largest: 256 },
  { name: 'CNN, 3x96x96', model: convModel({ size: 96, channels: 24 }), rowDims: [3, 96, 96], largest: 32 },
  { name: 'transformer, 128x256', model: attentionModel({ length: 128, width: 256 }), rowDims: [128, 256], largest: 32 },
]

/** The default of `batching.maxSize`; the picture goes further, to show larger sizes. */
const DEFAULT_MAX = 64

/** More than where only the best size is looked for: every point is drawn. */
const ROUNDS = 3

const DIR = fileURLToPath(new URL('../.bench/', import.meta.url))

async function measure({ name, model, rowDims, largest }: Case): Promise<Series & { readonly reason: string }> {
  const sizes = Array.from({ length: Math.log2(largest) + 1 }, (_, i) => 2 ** i)
  const limit = await startLimit(model, rowDims, sizes, ROUNDS)
  const server = await createProvedServer({ models: [{ name: 'm', source: model, session: SESSION }], strict: true })
  const { maxSize, reason } = server.model('m').batching
  await Promise.all([limit.stop(), server.close()])
  return { name, runMs: limit.runMs, cap: maxSize, reason }
}

function rowOf(series: Series & { readonly reason: string }): Row {
  const rate = (rows: number): number => (rows * 1000) / (series.runMs.get(rows) ?? Number.NaN)
  const [best] = [...series.runMs.keys()].filter((rows) => rows <= DEFAULT_MAX).sort((a, b) => rate(b) - rate(a)) as [number]
  return rowOfRatios({
    bench: 'gain-curve',
    what: `${series.name}, rows at the batch size that was chosen`,
    ours: `${series.cap} per run: ${perSecond(rate(series.cap))}`,
    rival: `best size: ${best} per run: ${perSecond(rate(best))}`,
    ratios: [rate(series.cap) / rate(best)],
    how: 'shortest run of each size, one thread',
    note: `${gainOf(series).toFixed(1)} times the rows per second of single rows at best; modelmount found: ${series.reason}`,
  })
}

export const gainCurve: Bench = {
  name: 'gain-curve',
  limitS: 120,
  async run() {
    const all = []
    for (const one of CASES()) all.push(await measure(one))
    mkdirSync(DIR, { recursive: true })
    writeFileSync(`${DIR}gain-curve.svg`, gainChart(all))
    return all.map(rowOf)
  },
}

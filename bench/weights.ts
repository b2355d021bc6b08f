/** The cost of another instance of a large model that maps shared weights, and its speed against one with its own. */

import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { identityModel, matmulChainModel } from '../tools/models.mjs'
import type { WeightsAnswer, WeightsAsk } from './children/weights.ts'
import { startChild } from './lib/child.ts'
import { SESSION } from './lib/direct.ts'
import { rotatingFloats } from './lib/inputs.ts'
import { measurePairs } from './lib/pairs.ts'
import { createProvedServer } from './lib/proved.ts'
import { type Bench, megabytes, pairedRow, perSecond, type Row, rowOfRatios, type Target } from './lib/row.ts'
import { assertSame } from './lib/same.ts'
import { sharedOrNot } from './lib/settled.ts'
import { PROMISES } from './promises.ts'

/** 8 layers of 16.8 MB. */
const SIZE = 2048
const LAYERS = 8
/** No more: tensors of half a megabyte lie about in a worker's heap until it is collected, which is not the weights' doing. */
const ROWS = [1, 8]
/** Instances whose difference is the cost of one more. */
const [FEW, MANY] = [2, 5]
const RUNS_MS = 400
/** glibc keeps what a load has freed unless it is told at the start of the process; children are told, threads share the host's. */
const MALLOC = { MALLOC_MMAP_THRESHOLD_: String(4 * 2 ** 20), MALLOC_TRIM_THRESHOLD_: String(8 * 2 ** 20) }

type Setting = Pick<WeightsAsk, 'isolation' | 'shareWeights'> & { readonly env?: Readonly<Record<string, string>> }

export const weights: Bench = {
  name: 'weights',
  limitS: 240,
  async run() {
    const dir = mkdtempSync(join(tmpdir(), 'modelmount-bench-'))
    try {
      return await measure(dir)
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  },
}

async function measure(dir: string): Promise<Row[]> {
  const [large, tiny] = [join(dir, 'large.onnx'), join(dir, 'tiny.onnx')]
  writeFileSync(large, matmulChainModel({ size: SIZE, count: LAYERS }))
  writeFileSync(tiny, identityModel('float', ['N', 4]))
  const cacheDirectory = join(dir, 'cache')
  const modelBytes = statSync(large).size

  // First, so that the file of shared weights is there for everybody who follows.
  const speed = await speedRow(large, cacheDirectory)

  async function extra(source: string, width: number, setting: Setting): Promise<number> {
    const [few, many] = [await count(source, width, FEW, setting), await count(source, width, MANY, setting)]
    return (many - few) / (MANY - FEW)
  }
  async function count(source: string, width: number, instances: number, { env, ...setting }: Setting): Promise<number> {
    const child = startChild<WeightsAsk, WeightsAnswer>('children/weights.ts', [], env)
    const answer = await child.ask({ source, width, cacheDirectory, instances, rows: ROWS, ...setting })
    await child.stop()
    if (setting.shareWeights && source === large && answer.form !== 'shared') throw new Error('the weights are not shared')
    return answer.privateBytes
  }
  async function memoryRow(what: string, setting: Setting, target?: Target): Promise<Row> {
    const bare = await extra(tiny, 4, { ...setting, shareWeights: false })
    const ours = (await extra(large, SIZE, setting)) - bare
    return rowOfRatios({
      bench: 'weights',
      what: `private memory of a further instance ${what}, less a bare worker's`,
      ours: megabytes(ours),
      rival: `the model: ${megabytes(modelBytes)}`,
      ratios: [ours / modelBytes],
      ...(target ? { target } : {}),
      how: `the difference between ${FEW} and ${MANY} instances`,
      note: `bare worker: ${megabytes(bare)}`,
    })
  }

  return [
    await memoryRow('in a process', { isolation: 'process', shareWeights: true }, PROMISES.instanceMemory),
    await memoryRow(
      'in a thread, with bounds for malloc',
      { isolation: 'thread', shareWeights: true, env: MALLOC },
      PROMISES.instanceMemory,
    ),
    await memoryRow('in a thread', { isolation: 'thread', shareWeights: true }),
    await memoryRow('in a thread, weights not shared', { isolation: 'thread', shareWeights: false }),
    speed,
  ]
}

async function speedRow(source: string, cacheDirectory: string): Promise<Row> {
  const model = { source, instances: 1, session: SESSION }
  const server = await createProvedServer({
    models: [
      { name: 'shared', ...model, shareWeights: true },
      { name: 'plain', ...model, shareWeights: false },
    ],
    cacheDirectory,
    strict: true,
  })
  if ((await sharedOrNot(server, 'shared')) !== 'shared') throw new Error('the weights are not shared')
  const input = rotatingFloats(SIZE)
  const answer = async (name: string): Promise<ArrayLike<number>> =>
    (await server.predict(name, { x: input(0) })).outputs.y?.data as Float32Array
  assertSame(await answer('shared'), await answer('plain'))
  /** Runs per second inside ONNX Runtime; the way there is the same. */
  const rate = async (name: string): Promise<number> => {
    let [runs, ms] = [0, 0]
    for (; ms < RUNS_MS; runs++) ms += (await server.predict(name, { x: input(runs) }, { batch: false })).timings.inferMs
    return (1000 * runs) / ms
  }
  const pairs = await measurePairs({ ours: () => rate('shared'), rival: () => rate('plain') })
  await server.close()
  return pairedRow({
    bench: 'weights',
    what: 'runs of one row on shared weights',
    rival: 'on weights of its own',
    pairs,
    format: perSecond,
    target: PROMISES.sharedSpeed,
  })
}

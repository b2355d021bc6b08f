/** The first answer of a process: from its first line on, beside the least that one can write. */

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createModelServer } from 'modelmount'
import { convModel, mlpModel } from '../tools/models.mjs'
import { SESSION } from './lib/direct.ts'
import { measurePairs } from './lib/pairs.ts'
import { proved } from './lib/proved.ts'
import { type Bench, milliseconds, pairedRow, type Row } from './lib/row.ts'
import { PROMISES } from './promises.ts'

const SCRIPT = fileURLToPath(new URL('children/first-answer.mjs', import.meta.url))
const PAIRS = 9

interface First {
  readonly ms: number
  readonly state?: string
}

const MODELS = {
  tiny: { what: '32-16-2 MLP', source: mlpModel({ layers: [32, 16, 2] }), name: 'features', dims: [1, 32] },
  cnn: { what: 'CNN of 3 layers, 3 x 64 x 64', source: convModel({}), name: 'image', dims: [1, 3, 64, 64] },
}

export const start: Bench = {
  name: 'start',
  limitS: 120,
  async run() {
    const dir = mkdtempSync(join(tmpdir(), 'modelmount-bench-'))
    try {
      return [
        await rowFor(dir, 'tiny', 'proving', PROMISES.startTiny),
        await rowFor(dir, 'cnn', 'proving', PROMISES.startCnn),
        await rowFor(dir, 'tiny', 'proved', PROMISES.startTiny),
      ]
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  },
}

async function rowFor(
  dir: string,
  which: keyof typeof MODELS,
  state: 'proving' | 'proved',
  target: (typeof PROMISES)['startTiny' | 'startCnn'],
): Promise<Row> {
  const { what, source, ...input } = MODELS[which]
  const file = join(dir, `${which}.onnx`)
  writeFileSync(file, source)
  let turn = 0
  /** A folder that no earlier start has kept a proof in, or the one where one has. */
  const cacheOf = (): string => join(dir, state === 'proved' ? 'kept' : `none-${which}-${turn++}`)
  if (state === 'proved') await keepProof(file, cacheOf())

  async function first(side: 'ours' | 'bare'): Promise<number> {
    const env = { ...process.env, NODE_ENV: 'production', ORT_DISABLE_TELEMETRY: '1', XDG_CACHE_HOME: cacheOf() }
    // Without this process's flags, which load the TypeScript compiler.
    const { stdout } = await promisify(execFile)(process.execPath, [SCRIPT, side, file, JSON.stringify(input)], { env })
    const answer = JSON.parse(stdout) as First
    if (side === 'ours' && answer.state !== state) throw new Error(`batching is '${answer.state}' and not '${state}'`)
    return answer.ms
  }

  return pairedRow({
    bench: 'start',
    what: `first answer of a process, ${what}${state === 'proved' ? ', with a proof that was kept' : ''}`,
    rival: 'a worker thread with InferenceSession.create and session.run',
    pairs: await measurePairs({ ours: () => first('ours'), rival: () => first('bare'), pairs: PAIRS }),
    format: milliseconds,
    target,
    how: `${PAIRS} processes a side in turn, each from its first line to the answer`,
  })
}

/** As the process that is measured will look for it. */
async function keepProof(file: string, cache: string): Promise<void> {
  const cacheDirectory = join(cache, 'modelmount')
  const server = await createModelServer({ models: { m: file }, session: SESSION, cacheDirectory, strict: true, logger: false })
  await proved(server)
  await server.close()
}

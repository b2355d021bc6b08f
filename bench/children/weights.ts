/** The process whose memory is counted, with its children: some instances of one model that have all run. */

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { workerPids } from '../../test/support/children.ts'
import { answerParent } from '../lib/child.ts'
import { SESSION } from '../lib/direct.ts'
import { createProvedServer } from '../lib/proved.ts'
import { sharedOrNot } from '../lib/settled.ts'

export interface WeightsAsk {
  readonly source: string
  /** Elements of one row. */
  readonly width: number
  readonly cacheDirectory: string
  readonly isolation: 'thread' | 'process'
  readonly instances: number
  readonly shareWeights: boolean
  /** Rows of the runs, one size after the other. */
  readonly rows: readonly number[]
}

export interface WeightsAnswer {
  /** Private memory of this process and its children. */
  readonly privateBytes: number
  readonly form: 'plain' | 'shared'
}

/** Runs of each size per instance. */
const ROUNDS = 12

const privateDirty = (pid: number): number =>
  [...readFileSync(`/proc/${pid}/smaps`, 'latin1').matchAll(/^Private_Dirty:\s+(\d+) kB/gm)].reduce(
    (sum, [, kilobytes]) => sum + 1024 * Number(kilobytes),
    0,
  )

answerParent(async (ask: WeightsAsk): Promise<WeightsAnswer> => {
  const { source, width, cacheDirectory, isolation, instances, shareWeights, rows } = ask
  const server = await createProvedServer({
    models: [{ name: 'm', source, isolation, instances, session: SESSION, shareWeights }],
    cacheDirectory,
    strict: true,
  })
  const form = await sharedOrNot(server, 'm')
  const run = (count: number): Promise<unknown> => {
    const x = { type: 'float32', dims: [count, width], data: new Float32Array(count * width).fill(0.1) } as const
    return server.predict('m', { x }, { batch: false })
  }
  for (const count of rows)
    for (let round = 0; round < ROUNDS; round++) await Promise.all(Array.from({ length: instances }, () => run(count)))
  // A file that was just written counts as private until it is on the disk.
  execFileSync('sync')
  const privateBytes = [process.pid, ...workerPids()].reduce((sum, pid) => sum + privateDirty(pid), 0)
  await server.close()
  return { privateBytes, form }
})

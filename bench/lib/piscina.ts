/** The other rival: piscina, the usual pool of worker threads, each with a session of its own. */

import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Piscina } from 'piscina'
import { OPTIONS } from './direct.ts'
import { closedLoop } from './loops.ts'

export interface RowResult {
  readonly data: Float32Array
  readonly dims: readonly number[]
}

export interface Pool {
  readonly label: string
  run(floats: Float32Array): Promise<RowResult>
  stop(): Promise<void>
}

const TRY_MS = 250
/** Tasks that a thread may have at a time: one, as by default, and enough to keep it busy while answers travel. */
const TASKS_PER_THREAD = [1, 8]

const start = (model: Uint8Array, threads: number, concurrentTasksPerWorker: number): Piscina =>
  new Piscina({
    filename: fileURLToPath(new URL('../threads/piscina.mjs', import.meta.url)),
    minThreads: threads,
    maxThreads: threads,
    concurrentTasksPerWorker,
    workerData: { model, options: OPTIONS },
    execArgv: [],
  })

/** The configuration that is fastest here, of one thread or one per CPU, with one task at a time or several. */
export async function startPiscina(model: Uint8Array, input: (index: number) => Float32Array, callers: number): Promise<Pool> {
  let best = { threads: 1, tasks: 1, rate: 0 }
  for (const threads of new Set([1, availableParallelism()])) {
    for (const tasks of TASKS_PER_THREAD) {
      const pool = start(model, threads, tasks)
      // The first round loads the sessions and compiles.
      await closedLoop(callers, TRY_MS, (i) => pool.run(input(i)))
      const rate = await closedLoop(callers, TRY_MS, (i) => pool.run(input(i)))
      await pool.destroy()
      if (rate > best.rate) best = { threads, tasks, rate }
    }
  }
  const pool = start(model, best.threads, best.tasks)
  return {
    label: `piscina, ${best.threads} thread${best.threads > 1 ? 's' : ''} x ${best.tasks} task${best.tasks > 1 ? 's' : ''}`,
    run: (floats) => pool.run(floats),
    stop: () => pool.destroy(),
  }
}

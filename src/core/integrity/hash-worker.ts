/** The thread that hashes large files: one list of files, one answer. */

import { parentPort, workerData } from 'node:worker_threads'
import { type HashAnswer, type HashJob, hashAll } from './hash.ts'

hashAll(workerData as readonly HashJob[]).then(
  (hashed) => answer({ hashed }),
  (error: unknown) =>
    answer({ failure: { code: 'MODEL_LOAD_FAILED', message: error instanceof Error ? error.message : String(error) } }),
)

function answer(message: HashAnswer): void {
  parentPort?.postMessage(message)
}

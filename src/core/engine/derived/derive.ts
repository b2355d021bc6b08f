/**
 * Makes ONNX Runtime write its optimised graph and its packed weights, and tries the result beside the plain model.
 * It runs in the builder's process.
 */

import { closeSync, fsyncSync, openSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { join } from 'node:path'
import { NO_PATCH } from '../../onnx/splice.ts'
import type { Tensor } from '../../tensor/types.ts'
import { pack, type TensorRecord, unpack } from '../frame.ts'
import type { FromWorker, ToWorker } from '../messages.ts'
import type { Patched } from '../patched.ts'
import type { OrtSessionOptions } from '../session-options.ts'
import { DATA_FILE, MODEL_FILE } from './store.ts'

/** The part of a session that `derive` uses. */
export interface TrialSession {
  run(inputs: TensorRecord, fetches: readonly string[]): Promise<Record<string, Tensor>>
  release(): Promise<void>
}

export type OpenSession = (
  model: Patched,
  session: OrtSessionOptions & { optimizedModelFilePath?: string },
) => Promise<TrialSession>

/** Smaller weights stay in the graph. */
const MIN_BYTES = 1024
/**
 * Each look gives both models several runs in a row. A run after one of the other model finds none of its weights in the CPU's caches, and
 * both would look alike.
 */
const TURNS = 3
const MIN_RUNS = 4
const MAX_RUNS = 40
const TURN_MS = 30
/** A slower result is looked at again: noise only ever adds to a run. */
const LOOKS = 4
const GOOD = 0.97

export async function derive(
  message: Extract<ToWorker, { kind: 'derive' }>,
  open: OpenSession,
): Promise<{ answer: Extract<FromWorker, { kind: 'derived' }>; transfer: ArrayBuffer[] }> {
  // Threads that serve requests take precedence.
  try {
    setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
  } catch {}
  const { session, into, fetches } = message
  const path = join(into, MODEL_FILE)
  const writer = await open(message, {
    ...session,
    optimizedModelFilePath: path,
    extra: {
      ...session.extra,
      'session.save_external_prepacked_constant_initializers': '1',
      'session.optimized_model_external_initializers_file_name': DATA_FILE,
      'session.optimized_model_external_initializers_min_size_in_bytes': String(MIN_BYTES),
    },
  })
  await writer.release()
  // Unwritten pages count as the private memory of every process that maps them.
  for (const name of [MODEL_FILE, DATA_FILE]) flush(join(into, name))

  const samples = unpack(message.samples, { share: true })
  const [plain, derived] = [await open(message, session), await open({ source: path, patch: NO_PATCH }, session)]
  const outputs: TensorRecord[] = []
  for (const side of [plain, derived]) for (const inputs of samples) outputs.push(await side.run(inputs, fetches))
  let speed = Number.POSITIVE_INFINITY
  for (const inputs of samples) speed = Math.min(speed, await compare(plain, derived, inputs, fetches))
  const { frame, transfer } = pack(outputs)
  return { answer: { kind: 'derived', speed, outputs: frame }, transfer }
}

function flush(path: string): void {
  const file = openSync(path, 'r+')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** The speed of the derived model relative to the plain one, by the shortest run of each. */
async function compare(
  plain: TrialSession,
  derived: TrialSession,
  inputs: TensorRecord,
  fetches: readonly string[],
): Promise<number> {
  let plainMs = Number.POSITIVE_INFINITY
  let derivedMs = Number.POSITIVE_INFINITY
  for (let look = 0; look < LOOKS && (look === 0 || plainMs < GOOD * derivedMs); look++) {
    for (let turn = 0; turn < TURNS; turn++) {
      plainMs = Math.min(plainMs, await shortest(plain, inputs, fetches))
      derivedMs = Math.min(derivedMs, await shortest(derived, inputs, fetches))
    }
  }
  return plainMs / derivedMs
}

async function shortest(side: TrialSession, inputs: TensorRecord, fetches: readonly string[]): Promise<number> {
  let best = Number.POSITIVE_INFINITY
  const start = performance.now()
  for (let run = 0; run < MAX_RUNS && (run < MIN_RUNS || performance.now() - start < TURN_MS); run++) {
    const before = performance.now()
    await side.run(inputs, fetches)
    best = Math.min(best, performance.now() - before)
  }
  return best
}

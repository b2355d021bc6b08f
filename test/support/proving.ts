/** The product's own proof of batching, with runs that are made up: the trial is done in place instead of in a child. */

import type { Batching } from '../../src/core/scheduler/batching.ts'
import type { BatchSettings } from '../../src/core/scheduler/options.ts'
import type { ModelSignature } from '../../src/core/tensor/types.ts'
import { proveBatching } from '../../src/core/trial/prove.ts'
import type { RunAll } from '../../src/core/trial/rows.ts'
import { tryOut } from '../../src/core/trial/try.ts'

export async function proveWith(signature: ModelSignature, settings: BatchSettings, runAll: RunAll): Promise<Batching> {
  const fetches = signature.outputs.map(({ name }) => name)
  const tried = await tryOut({ signature, settings, given: [] }, { fetches, runAll })
  const { batching } = await proveBatching(signature, settings, { runAll, tried, findMixing: async () => undefined })
  return batching
}

/** The product's own proof of batching, with runs that are made up: the trial is done in place instead of in a child. */

import type { Batching } from '../../src/core/scheduler/batching.ts'
import type { BatchSettings } from '../../src/core/scheduler/options.ts'
import type { ModelSignature } from '../../src/core/tensor/types.ts'
import { conclude } from '../../src/core/trial/conclude.ts'
import { prove } from '../../src/core/trial/prove.ts'
import type { RunAll } from '../../src/core/trial/rows.ts'
import { tryOut } from '../../src/core/trial/try.ts'

export async function proveWith(signature: ModelSignature, settings: BatchSettings, runAll: RunAll): Promise<Batching> {
  const fetches = signature.outputs.map(({ name }) => name)
  const tried = await tryOut({ signature, settings, given: [] }, { fetches, runAll })
  const evidence = await prove(signature, settings, { runAll, tried, findMixing: async () => undefined })
  return conclude(signature, settings, evidence).batching
}

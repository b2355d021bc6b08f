/** What the models of a repository take and give, read from their files without running them. */

import { contractOf } from '../../core/contract.ts'
import { isModelmountError, ModelmountError } from '../../core/errors.ts'
import { editOnnx, readOnnx, servableOutputs } from '../../core/onnx/index.ts'
import { resolveFound } from '../../core/options.ts'
import { type FoundModel, type Ignored, scanRepository } from '../../core/registry/repository.ts'
import { findRagged } from '../../core/scheduler/batching.ts'
import { planSequences } from '../../core/sequences/index.ts'
import type { ModelSignature } from '../../core/types.ts'

export interface ModelEntry {
  readonly name: string
  /** The one that requests without a version get. */
  readonly version: string
  /** The others that are served. */
  readonly others: readonly string[]
  readonly doc: string
  readonly signature: ModelSignature
}

export interface Collected {
  /** Sorted by name. */
  readonly models: readonly ModelEntry[]
  /** Models that are there and cannot be typed, and why. */
  readonly skipped: readonly { readonly name: string; readonly reason: string }[]
  /** What looks like a model or a version and is none. */
  readonly ignored: readonly Ignored[]
}

/**
 * @throws ModelmountError `OPTIONS_INVALID` for a directory that cannot be read; `MODEL_INVALID`, `CONFIG_INVALID` or `MODEL_LOAD_FAILED` for a
 *   model that is broken: leaving its types out would make code compile that ought not to
 */
export async function collect(directory: string): Promise<Collected> {
  const { models: found, ignored } = await scanRepository(directory)
  const byName = grouped(found)
  const models: ModelEntry[] = []
  const skipped: { name: string; reason: string }[] = []
  for (const [name, versions] of [...byName].sort(([a], [b]) => (a < b ? -1 : 1))) {
    // Versions come lowest first.
    const last = versions.at(-1)
    if (!last) continue
    try {
      models.push({ ...(await entryOf(last)), others: versions.slice(0, -1).map(({ version }) => version) })
    } catch (error) {
      if (!isModelmountError(error)) throw error
      if (error.code !== 'MODEL_UNSUPPORTED') throw new ModelmountError(error.code, `${name}: ${error.message}`, { cause: error })
      skipped.push({ name, reason: error.message })
    }
  }
  return { models, skipped, ignored }
}

function grouped(found: readonly FoundModel[]): Map<string, FoundModel[]> {
  const byName = new Map<string, FoundModel[]>()
  for (const model of found) byName.set(model.name, [...(byName.get(model.name) ?? []), model])
  return byName
}

async function entryOf(found: FoundModel): Promise<Omit<ModelEntry, 'others'>> {
  const config = resolveFound(found, {})
  if (config.fault) throw config.fault
  if (found.source.endsWith('.ort'))
    throw new ModelmountError('MODEL_UNSUPPORTED', 'the graph of an .ort file is known only once it is loaded')
  const { facts, refusal, leftOut } = await editOnnx(found.source, await readOnnx(found.source))
  if (refusal) throw new ModelmountError('MODEL_UNSUPPORTED', refusal)
  const declared = { inputs: facts.inputs, outputs: servableOutputs(facts) }
  const ragged = findRagged(declared, config.batching)
  // A mask that requests may leave out.
  const isMask = (name: string): boolean => typeof ragged === 'object' && name === ragged.mask
  const graph = {
    ...declared,
    inputs: declared.inputs.map((input) => (isMask(input.name) ? { ...input, optional: true } : input)),
  }
  const { batching, sequences } = config
  const plan = sequences && planSequences(graph, sequences, batching ? batching.axes : {})
  const { signature } = contractOf({ ...(plan?.visible ?? graph), leftOut }, config, facts.presetInputs)
  return { name: found.name, version: found.version, doc: facts.doc, signature }
}

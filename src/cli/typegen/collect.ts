/** Reads the inputs and outputs of a repository's models from their files, without running them. */

import { isModelmountError, ModelmountError } from '../../core/errors.ts'
import { readModel } from '../../core/model/load/read.ts'
import { contractOf } from '../../core/model/view/contract.ts'
import { servableOutputs } from '../../core/onnx/index.ts'
import type { FoundModel } from '../../core/registry/found.ts'
import { type Ignored, scanRepository } from '../../core/registry/repository.ts'
import { resolveFound } from '../../core/registry/resolve.ts'
import { findRagged } from '../../core/scheduler/batching.ts'
import { planSequences } from '../../core/sequences/index.ts'
import type { ModelSignature } from '../../core/tensor/types.ts'

export interface ModelEntry {
  readonly name: string
  /** The version for requests without one. */
  readonly version: string
  /** The other served versions. */
  readonly others: readonly string[]
  readonly doc: string
  readonly signature: ModelSignature
}

export interface Collected {
  /** Sorted by name. */
  readonly models: readonly ModelEntry[]
  /** Existing versions that a server refuses, or that cannot be typed, with the reason. */
  readonly skipped: readonly { readonly name: string; readonly reason: string }[]
  /** Entries that look like a model or a version and are none. */
  readonly ignored: readonly Ignored[]
}

/**
 * The highest version of each model that a server takes: requests without a version get that one.
 * @throws ModelmountError `OPTIONS_INVALID` for a directory that cannot be read; `MODEL_INVALID`, `CONFIG_INVALID` or `MODEL_LOAD_FAILED`
 *   for a model whose highest version is broken: leaving its types out would make code compile that ought not to
 */
export async function collect(directory: string): Promise<Collected> {
  const { models: found, ignored } = await scanRepository(directory)
  const byName = grouped(found)
  const models: ModelEntry[] = []
  const skipped: { name: string; reason: string }[] = []
  for (const [name, versions] of [...byName].sort(([a], [b]) => (a < b ? -1 : 1))) {
    // Versions come lowest first.
    const served: Omit<ModelEntry, 'others'>[] = []
    for (const version of versions) {
      const entry = await entryOrReason(version, version === versions.at(-1))
      if (typeof entry !== 'string') served.push(entry)
      else skipped.push({ name: versions.length > 1 ? `version ${version.version} of ${name}` : name, reason: entry })
    }
    const last = served.pop()
    if (last) models.push({ ...last, others: served.map(({ version }) => version) })
  }
  return { models, skipped, ignored }
}

/** @param isHighest a fault in it must not pass unnoticed */
async function entryOrReason(found: FoundModel, isHighest: boolean): Promise<Omit<ModelEntry, 'others'> | string> {
  try {
    return await entryOf(found)
  } catch (error) {
    if (!isModelmountError(error)) throw error
    if (error.code === 'MODEL_UNSUPPORTED' || !isHighest) return error.message
    throw new ModelmountError(error.code, `${found.name}: ${error.message}`, { cause: error })
  }
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
  const read = await readModel({ source: found.source, data: new Map(), allowOrtFormat: false, scan: true, areOurs: false })
  if (!read) throw new ModelmountError('MODEL_UNSUPPORTED', 'its graph is known only once it is loaded')
  const { facts, leftOut } = read.edited
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

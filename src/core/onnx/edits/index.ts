/**
 * The edits that a graph may get after its file was verified: a closed list, made in memory as splices of the verified bytes.
 * The file stays as it is, and so do its id and its signature.
 */

import { isAbsolute, normalize } from 'node:path'
import type { LeftOutput, ValueInfo } from '../../tensor/types.ts'
import { elementDType, elementName } from '../element-types.ts'
import { outputTypes } from '../inferred.ts'
import { leftOut } from '../left-out.ts'
import { Malformed } from '../malformed.ts'
import { type Nodes, readNodes } from '../nodes.ts'
import type { Source } from '../source.ts'
import { NO_PATCH, type Patch } from '../splice.ts'
import { irReason, isOpen, LOWERED_IR_VERSION, MAX_IR_VERSION, unsupportedReason } from '../support.ts'
import type { GraphEdit, GraphEditName, OnnxModelFacts } from '../types.ts'
import { createReader, drive, type Reader, type Reading } from '../wire.ts'
import { patchOf } from './changes.ts'
import { cutOutputs } from './cut-output.ts'
import { type Draft, draftOf } from './draft.ts'
import { lowerIrVersion } from './ir-version.ts'
import { readLayout } from './layout.ts'
import { readNewer } from './newer.ts'
import { unzip } from './zipmap.ts'

/** A file's graph as it is loaded. */
export interface Edited {
  /** Of the graph that is loaded. */
  readonly facts: OnnxModelFacts
  readonly edits: readonly GraphEdit[]
  readonly patch: Patch
  readonly leftOut: readonly LeftOutput[]
  /** Names of classes, by output. */
  readonly labels: Readonly<Record<string, readonly string[]>>
  /** Why it cannot be served, worded as the rest of a sentence. */
  readonly refusal: string | undefined
}

/** In the order of their application. */
const EDITS: Readonly<Record<GraphEditName, (draft: Draft) => void>> = {
  zipmap: unzip,
  'cut-output': cutOutputs,
  'ir-version': lowerIrVersion,
}

/** Protobuf reads no more, and neither does ONNX Runtime from memory. */
const MAX_BYTES = 2 ** 31 - 1

/**
 * @param source of the facts
 * @param reread the facts of the file with a patch
 */
export async function edit(
  source: Source,
  facts: OnnxModelFacts,
  reread: (patch: Patch) => Promise<OnnxModelFacts>,
): Promise<Edited> {
  if (facts.irVersion !== LOWERED_IR_VERSION && facts.outputs.every(({ type }) => type !== undefined)) return asItIs(facts, [])
  const types = facts.outputs.some(({ type }) => type === undefined) ? await typesIn(source) : new Map<string, number>()
  const typed = withTypes(facts, types)
  const obstacle = obstacleTo(source, facts)
  if (obstacle !== undefined) return unedited(typed, obstacle)
  try {
    const layout = await reading(source, readLayout)
    const newer = facts.irVersion === LOWERED_IR_VERSION ? await reading(source, readNewer) : undefined
    const draft = draftOf({ facts: typed, layout, types, newer })
    for (const make of Object.values(EDITS)) make(draft)
    return await edited(draft, reread)
  } catch (error) {
    if (!(error instanceof Malformed)) throw error
    return unedited(typed, `its graph cannot be edited: ${error.message}`)
  }
}

async function edited(
  { facts, newer, changes, edits, leftOut, unzipped }: Draft,
  reread: (patch: Patch) => Promise<OnnxModelFacts>,
): Promise<Edited> {
  const patch = changes.length === 0 ? NO_PATCH : patchOf(changes)
  const read = patch.length === 0 ? facts : await reread(patch)
  const known = new Map(facts.outputs.map((output) => [output.name, output]))
  const outputs = read.outputs.map((output): ValueInfo => {
    const as = unzipped.get(output.name)?.as ?? known.get(output.name)
    return output.type === undefined && as ? as : output
  })
  const labels: Record<string, readonly string[]> = Object.create(null)
  for (const [name, { classes }] of unzipped) labels[name] = classes
  const result = { ...read, outputs }
  const refusal =
    newer === undefined
      ? unsupportedReason(result)
      : `it has IR version ${LOWERED_IR_VERSION} and uses ${newer}, which ONNX Runtime does not know: export it with ir_version=10`
  return { facts: result, edits, patch, leftOut, labels, refusal }
}

const asItIs = (facts: OnnxModelFacts, left: readonly LeftOutput[]): Edited => ({
  facts,
  edits: [],
  patch: NO_PATCH,
  leftOut: left,
  labels: {},
  refusal: unsupportedReason(facts) ?? (facts.irVersion > MAX_IR_VERSION ? irReason(facts.irVersion) : undefined),
})

/** @param why the graph is left as it is */
function unedited(facts: OnnxModelFacts, why: string): Edited {
  const left = facts.outputs.filter((output) => output.type === undefined && !isOpen(output))
  const result = asItIs(
    facts,
    left.map((output) => leftOut(output, why)),
  )
  return result.refusal === undefined ? result : { ...result, refusal: `${result.refusal}; ${why}` }
}

function obstacleTo({ size }: Source, { externalData }: OnnxModelFacts): string | undefined {
  if (size > MAX_BYTES) return `the file has ${size} bytes, and is left as it is above ${MAX_BYTES}`
  return externalData.some(leavesFolder) ? 'the file is left as it is, because its weights lie outside its folder' : undefined
}

const leavesFolder = (location: string): boolean => isAbsolute(location) || /^\.\.($|[\\/])/.test(normalize(location))

function withTypes(facts: OnnxModelFacts, types: ReadonlyMap<string, number>): OnnxModelFacts {
  const outputs = facts.outputs.map((output): ValueInfo => {
    const type = isOpen(output) ? (types.get(output.name) ?? 0) : 0
    return type === 0 ? output : { ...output, type: elementDType(type), declaredType: `tensor(${elementName(type)})` }
  })
  return { ...facts, outputs }
}

async function typesIn(source: Source): Promise<ReadonlyMap<string, number>> {
  try {
    return outputTypes(await reading(source, (reader): Reading<Nodes> => readNodes(reader)))
  } catch (error) {
    if (!(error instanceof Malformed)) throw error
    // ONNX Runtime will report it.
    return new Map()
  }
}

function reading<T>(source: Source, read: (reader: Reader) => Reading<T>): Promise<T> {
  const reader = createReader(source.size)
  return drive(reader, source, read(reader))
}

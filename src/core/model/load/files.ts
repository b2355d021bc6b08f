/** The files behind a model: read without running them, and found again. */

import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { readOnnx } from '../../onnx/index.ts'
import type { OnnxModelFacts } from '../../onnx/types.ts'

/** `.ort` files are flatbuffers; their graph is known only once ONNX Runtime has loaded them. */
export async function readFacts(source: string | Uint8Array, allowOrtFormat: boolean): Promise<OnnxModelFacts | undefined> {
  if (allowOrtFormat && typeof source === 'string' && source.endsWith('.ort')) return undefined
  return readOnnx(source)
}

/** ONNX Runtime would look for the files beside the process's working directory. */
export function unreachableData(
  source: string | Uint8Array,
  data: ReadonlyMap<string, Uint8Array>,
  facts: OnnxModelFacts,
): string | undefined {
  if (typeof source === 'string' || facts.externalData.every((location) => data.has(location))) return undefined
  return `the model keeps weights in other files (${facts.externalData.length}), which a Uint8Array source does not have; pass its path`
}

/** Size of the weights; of the whole file where nothing is known of its inside. */
export async function weightBytesOf(
  source: string | Uint8Array,
  data: ReadonlyMap<string, Uint8Array>,
  facts: OnnxModelFacts | undefined,
): Promise<number> {
  if (typeof source !== 'string') {
    const inside = facts?.initializerBytes ?? source.byteLength
    return [...data.values()].reduce((sum, { byteLength }) => sum + byteLength, inside)
  }
  const files = facts ? facts.externalData.map((location) => join(dirname(source), location)) : [source]
  const sizes = await Promise.all(files.map(async (file) => (await stat(file).catch(() => undefined))?.size ?? 0))
  return sizes.reduce((sum, size) => sum + size, facts?.initializerBytes ?? 0)
}

/** The model's file, or its bytes, and the files that it keeps weights in. */
export function filesOf(source: string | Uint8Array, facts: OnnxModelFacts | undefined): readonly (string | Uint8Array)[] {
  if (typeof source !== 'string') return [source]
  return [source, ...(facts?.externalData ?? []).map((location) => join(dirname(source), location))]
}

/** The files that a model keeps weights in, by the names that it has for them. */
export const dataFilesOf = (source: string, facts: OnnxModelFacts | undefined): ReadonlyMap<string, string> =>
  new Map((facts?.externalData ?? []).map((location) => [location, join(dirname(source), location)]))

/** Names of the files that a model keeps weights in, relative to it. */
export async function dataNamesOf(source: string): Promise<readonly string[]> {
  return (await readFacts(source, true))?.externalData ?? []
}

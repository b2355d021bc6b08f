/** Opens an encrypted model as bytes in memory. The engine loads them, and no other code sees them before all of it was authenticated. */

import { basename, dirname, join } from 'node:path'
import { manifestIdOf, nameProblem } from '../integrity/index.ts'
import { readOnnx } from '../onnx/index.ts'
import type { Context } from './context.ts'
import { decryptToMemory, type InMemory } from './message.ts'
import { ENDING } from './plan.ts'
import { refuseFile } from './refusal.ts'
import type { KeyProvider } from './types.ts'

export interface OpenModel {
  readonly bytes: Uint8Array
  /** Weights that the model keeps in other files, by their name. */
  readonly data: ReadonlyMap<string, Uint8Array>
  readonly manifestId: string
  readonly files: readonly { readonly name: string; readonly sha256: string; readonly size: number }[]
  readonly context: Context
}

/**
 * @param path of the model's own file, `….onnx.enc`
 * @param expected the binding that it must have been encrypted with
 * @throws ModelmountError `MODEL_UNTRUSTED`, `MODEL_LOAD_FAILED`, `MODEL_INVALID`
 */
export async function openModel(path: string, expected: Partial<Context>, keys: KeyProvider): Promise<OpenModel> {
  const root = dirname(path)
  const own = await decryptToMemory(path, { ...expected, kind: 'model-file', path: '.' }, keys, basename(path))
  const { context } = own
  const data = new Map<string, Uint8Array>()
  const files = [described('.', own)]
  for (const name of (await readOnnx(own.bytes)).externalData) {
    const problem = nameProblem(name)
    if (problem) throw refuseFile(basename(path), `keeps weights in a file whose name leads elsewhere: ${problem}`)
    const weights = await decryptToMemory(join(root, name + ENDING), { ...context, path: name }, keys, name + ENDING)
    data.set(name, weights.bytes)
    files.push(described(name, weights))
  }
  const manifestId = manifestIdOf(files)
  // Each file names the whole it belongs to: all must name this one, so that no file of an older release slips in.
  if (manifestId !== context.manifest) throw refuseFile(basename(path), 'and its weights are not what was encrypted together')
  return { bytes: own.bytes, data, manifestId, files, context }
}

const described = (name: string, { bytes, sha256 }: InMemory): OpenModel['files'][number] => ({
  name,
  sha256,
  size: bytes.length,
})

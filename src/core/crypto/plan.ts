/** Lists the files of a model to encrypt, or of an encrypted one. */

import { stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ModelmountError } from '../errors.ts'
import { GIT_PATHS, listFiles } from '../integrity/index.ts'
import { readOnnx } from '../onnx/index.ts'
import { refusalOf } from './refusal.ts'

/** Suffix of an encrypted file's name. */
export const ENDING = '.enc'
/** Signatures stay readable: without the key, one may still see who signed. */
const SIGNATURE_ENDING = '.sig'

export interface PlainFile {
  /** Name in the manifest: `.` for the model's own file. */
  readonly name: string
  /** On disk, relative to the model's folder. */
  readonly relative: string
  readonly path: string
  /** The model itself or its weights, not a file that only lies beside it. */
  readonly isLoaded: boolean
}

export const pathOf = (path: string | URL): string => (typeof path === 'string' ? path : fileURLToPath(path))

export const isEncrypted = (path: string): boolean => path.endsWith(ENDING)
const isSignature = (name: string): boolean => name.endsWith(SIGNATURE_ENDING)

/** @param path the `.onnx` file, taken with the files that it loads; or a folder with one, taken whole */
export async function planOf(
  path: string,
): Promise<{ readonly files: readonly PlainFile[]; readonly signatures: readonly PlainFile[] }> {
  const stats = await stat(path).catch((error: unknown) => {
    throw refusalOf(error, path)
  })
  const root = stats.isDirectory() ? path : dirname(path)
  const present = stats.isDirectory() ? (await listFiles(path, GIT_PATHS)).map(({ name }) => name) : undefined
  const main = present ? onlyModel(path, present) : basename(path)
  const { externalData } = await readOnnx(join(root, main))
  const others = (present ?? []).filter((name) => name !== main && !externalData.includes(name))
  const file = (name: string, relative: string, isLoaded: boolean): PlainFile => ({
    name,
    relative,
    path: join(root, relative),
    isLoaded,
  })
  return {
    files: [
      file('.', main, true),
      ...externalData.map((name) => file(name, name, true)),
      ...others.filter((name) => !isSignature(name)).map((name) => file(name, name, false)),
    ],
    signatures: others.filter(isSignature).map((name) => file(name, name, false)),
  }
}

function onlyModel(folder: string, names: readonly string[]): string {
  const models = names.filter((name) => !name.includes('/') && name.endsWith('.onnx'))
  const [only] = models
  if (only !== undefined && models.length === 1) return only
  const what = models.length === 0 ? 'no .onnx file' : `${models.length} .onnx files`
  throw new ModelmountError('OPTIONS_INVALID', `folder ${JSON.stringify(folder)} has ${what}; name the model's own file`)
}

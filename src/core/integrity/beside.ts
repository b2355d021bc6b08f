/** The files beside a model's file: its signature, and its external weights. */

import { realpath, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { ModelmountError } from '../errors.ts'
import { printable } from '../host/printable.ts'
import { nameInside } from './files.ts'
import { nameProblem } from './names.ts'
import { refuse } from './refusal.ts'

/** @throws ModelmountError `MODEL_UNTRUSTED` */
export async function signatureBeside(source: string | Uint8Array): Promise<string> {
  if (typeof source !== 'string') throw refuse('the model is bytes and comes without a signature')
  const places = [`${source}.sig`, join(dirname(source), 'model.sig')]
  for (const place of places) if (await stat(place).catch(() => undefined)) return place
  throw refuse(`the model has no signature: neither '${basename(source)}.sig' nor 'model.sig' is beside it`)
}

/**
 * A model may keep weights in files beside it or below, wherever links lead. An unsigned one may not have other names.
 * It could be a stranger's secret, linked into the folder to be read out through the model.
 */
export async function dataPath(root: string, name: string, signed: ReadonlyMap<string, string> | undefined): Promise<string> {
  const shown = `'${printable(name).slice(0, 200)}'`
  const problem = nameProblem(name)
  if (problem) throw refuse(`the model keeps weights in ${shown}, which cannot belong to it: ${problem}`)
  if (signed && !signed.has(name)) throw refuse(`the model keeps weights in ${shown}, which is not covered by the signature`)
  const path = await realpath(join(root, name)).catch(missing(join(root, name)))
  if ((await nameInside(root, path)) === undefined)
    throw refuse(`the model keeps weights in ${shown}, which leads out of its folder`)
  const stats = await stat(path).catch(missing(path))
  if (!signed && stats.isFile() && stats.nlink > 1)
    throw refuse(`the model keeps weights in ${shown}, which is a hard link: the file has another name elsewhere`)
  return path
}

export const missing =
  (path: string) =>
  (cause: NodeJS.ErrnoException): never => {
    const what = cause.code === 'ENOENT' || cause.code === 'ENOTDIR' ? 'does not exist' : `cannot be read (${cause.code})`
    throw new ModelmountError('MODEL_LOAD_FAILED', `model file ${JSON.stringify(path)} ${what}`, {
      details: { path },
      cause,
    })
  }

/** How a server opens the encrypted models that it is given. */

import { ModelmountError } from '../errors.ts'
import { type OpenModel, openModel } from './open.ts'
import { DEFAULT_APP, type EncryptionOptions } from './options.ts'
import { ENDING, isEncrypted } from './plan.ts'

interface Request {
  readonly name: string
  readonly version: string
  readonly source: string | Uint8Array
}

/** @returns a function that gives `undefined` for a model that is not encrypted, as its name says */
export function createDecrypt(
  encryption: EncryptionOptions | undefined,
): (request: Request) => Promise<OpenModel & { readonly plainPath: string }> | undefined {
  return ({ name, version, source }) =>
    typeof source === 'string' && isEncrypted(source) ? decrypt(name, version, source) : undefined

  async function decrypt(model: string, version: string, source: string): Promise<OpenModel & { readonly plainPath: string }> {
    if (!encryption)
      throw new ModelmountError('MODEL_LOAD_FAILED', `model '${model}' is encrypted, and the option encryption.keys is not given`)
    const opened = await openModel(source, { app: encryption.app ?? DEFAULT_APP, model, version }, encryption.keys)
    return { ...opened, plainPath: source.slice(0, -ENDING.length) }
  }
}

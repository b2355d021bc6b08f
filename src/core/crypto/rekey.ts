/** `rekeyModel()`: encrypts files of an old key anew with the current one. */

import { stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { PassThrough } from 'node:stream'
import { ModelmountError } from '../errors.ts'
import { GIT_PATHS, listFiles } from '../integrity/index.ts'
import { currentKey } from './keyring.ts'
import { decryptTo, encryptTo, readHeader } from './message.ts'
import { createOutput } from './output.ts'
import { isEncrypted, pathOf } from './plan.ts'
import type { KeyProvider, RekeyedModel } from './types.ts'

/**
 * Encrypts files anew with `keys.current()`, one after the other. Each replaces the old one only once it is complete.
 * An interrupted run therefore continues where it stopped. Plain text exists in memory only, a few frames at a time.
 * @param path one encrypted file, or a folder with any number of encrypted models
 * @throws ModelmountError `MODEL_UNTRUSTED`, `MODEL_LOAD_FAILED`, `OPTIONS_INVALID`
 */
export async function rekeyModel(path: string | URL, { keys }: { readonly keys: KeyProvider }): Promise<RekeyedModel> {
  const from = pathOf(path)
  const isFolder = (await stat(from).catch(() => undefined))?.isDirectory() ?? false
  const root = isFolder ? from : dirname(from)
  const names = isFolder ? (await listFiles(root, GIT_PATHS)).map(({ name }) => name).filter(isEncrypted) : [basename(from)]
  if (names.length === 0) throw new ModelmountError('OPTIONS_INVALID', `folder ${JSON.stringify(from)} has no encrypted file`)
  const { id: keyId } = await currentKey(keys)
  const [rekeyed, skipped]: [string[], string[]] = [[], []]
  for (const name of names) {
    const file = join(root, name)
    const header = await readHeader(file, {}, keys, name)
    if (header.keyId === keyId) skipped.push(name)
    else {
      await rekeyFile(file, name, header.context, keys)
      rekeyed.push(name)
    }
  }
  return { rekeyed, skipped, keyId }
}

async function rekeyFile(
  file: string,
  name: string,
  context: Awaited<ReturnType<typeof readHeader>>['context'],
  keys: KeyProvider,
): Promise<void> {
  const output = await createOutput(file, { replace: true })
  const plain = new PassThrough()
  const reading = decryptTo([plain], file, context, keys, name)
  // A message that turns out to be truncated must end the new one, too.
  reading.catch((error: Error) => plain.destroy(error))
  try {
    await Promise.all([reading, encryptTo(output.stream, plain, undefined, context, keys, name)])
    await output.commit()
  } catch (error) {
    await output.discard()
    throw error
  }
}

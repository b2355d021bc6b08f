/** `encryptModel()`: writes every file of a model as a message of its own, bound to its name and to the whole. */

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { copyFile, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ModelmountError } from '../errors.ts'
import { printable } from '../host/printable.ts'
import { hashFiles, manifestIdOf } from '../integrity/index.ts'
import type { Context } from './context.ts'
import { encryptTo } from './message.ts'
import { DEFAULT_APP } from './options.ts'
import { createOutput, type Output } from './output.ts'
import { ENDING, type PlainFile, pathOf, planOf } from './plan.ts'
import { refusalOf } from './refusal.ts'
import type { EncryptedModel, EncryptModelOptions } from './types.ts'
import { DEFAULT_VERSION } from './types.ts'

/**
 * Encrypts a model at rest. The plain files stay where they are.
 * @param path the `.onnx` file, taken with its external data; or a folder with one, of which every file is taken. Signatures (`*.sig`) are
 *   copied unchanged: sign first, then encrypt.
 * @throws ModelmountError `OPTIONS_INVALID`, `MODEL_INVALID`, `MODEL_LOAD_FAILED` if a file cannot be read or written or changes meanwhile
 */
export async function encryptModel(path: string | URL, opts: EncryptModelOptions): Promise<EncryptedModel> {
  const { files, signatures } = await planOf(pathOf(path))
  const out = pathOf(opts.out)
  const hashed = await hashFiles(files)
  const manifest = files.map((file, i) => ({ ...file, sha256: hashed[i]?.sha256 ?? '', size: hashed[i]?.size ?? 0 }))
  const manifestId = manifestIdOf(manifest.filter(({ isLoaded }) => isLoaded))
  const outputs: Output[] = []
  let keyId = ''
  try {
    for (const file of manifest) {
      const output = await createOutput(join(out, file.relative + ENDING))
      outputs.push(output)
      const context: Context = {
        app: opts.app ?? DEFAULT_APP,
        kind: 'model-file',
        model: opts.model,
        version: opts.version ?? DEFAULT_VERSION,
        path: file.name,
        manifest: manifestId,
      }
      keyId = await encryptTo(output.stream, unchanged(file), file.size, context, opts.keys, file.relative)
    }
    for (const output of outputs) await output.commit()
  } catch (error) {
    await Promise.all(outputs.map((output) => output.discard()))
    throw error
  }
  await copySignatures(signatures, out)
  return { manifestId, files: files.map(({ relative }) => relative + ENDING), keyId }
}

/** The manifest was computed before; a file that has changed since must not be encrypted under it. */
async function* unchanged({ path, relative, sha256 }: PlainFile & { readonly sha256: string }): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    hash.update(chunk)
    yield chunk
  }
  if (hash.digest('hex') !== sha256)
    throw new ModelmountError('MODEL_LOAD_FAILED', `file '${printable(relative)}' changed while it was being encrypted`)
}

async function copySignatures(signatures: readonly PlainFile[], out: string): Promise<void> {
  for (const { path, relative } of signatures) {
    const target = join(out, relative)
    try {
      await mkdir(dirname(target), { recursive: true })
      await copyFile(path, target)
    } catch (error) {
      throw refusalOf(error, relative)
    }
  }
}

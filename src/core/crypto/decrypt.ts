/** `decryptModel()`: writes the plain files to disk. The server never does. */

import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Transform } from 'node:stream'
import { GIT_PATHS, listFiles, manifestIdOf, nameProblem } from '../integrity/index.ts'
import { readOnnx } from '../onnx/index.ts'
import type { Context } from './context.ts'
import { decryptTo } from './message.ts'
import { createOutput, type Output } from './output.ts'
import { ENDING, isEncrypted, pathOf } from './plan.ts'
import { refuseFile } from './refusal.ts'
import type { DecryptedModel, DecryptModelOptions } from './types.ts'

interface Plain {
  readonly output: Output
  readonly context: Context
  readonly sha256: string
  readonly size: number
}

/**
 * Decrypts the output of `encryptModel()`. Nothing appears under `out` before all of it was authenticated and found to belong
 * together.
 * @param path an `.onnx.enc` file, taken with its external data; or a folder, of which every encrypted file is taken
 * @throws ModelmountError `MODEL_UNTRUSTED`, `MODEL_LOAD_FAILED`, `OPTIONS_INVALID`
 */
export async function decryptModel(path: string | URL, opts: DecryptModelOptions): Promise<DecryptedModel> {
  const from = pathOf(path)
  const out = pathOf(opts.out)
  const isFolder = (await stat(from).catch(() => undefined))?.isDirectory() ?? false
  const root = isFolder ? from : dirname(from)
  const { app, model, version } = opts
  const expected: Partial<Context> = {
    kind: 'model-file',
    ...(app === undefined ? {} : { app }),
    ...(model === undefined ? {} : { model }),
    ...(version === undefined ? {} : { version }),
  }
  const plain = new Map<string, Plain>()

  async function take(relative: string, wanted: Partial<Context>): Promise<Plain> {
    const output = await createOutput(join(out, relative.slice(0, -ENDING.length)))
    const { hash, step } = measured()
    try {
      const { context } = await decryptTo([step, output.stream], join(root, relative), wanted, opts.keys, relative)
      const taken = { output, context, ...hash() }
      plain.set(relative, taken)
      return taken
    } catch (error) {
      await output.discard()
      throw error
    }
  }

  try {
    const names = isFolder ? (await listFiles(root, GIT_PATHS)).map(({ name }) => name).filter(isEncrypted) : [basename(from)]
    for (const name of names) await take(name, expected)
    const main = [...plain.values()].find(({ context }) => context.path === '.')
    if (!main) throw refuseFile(from, 'holds no model, only files that belong to one')
    const files = [{ name: '.', sha256: main.sha256, size: main.size }]
    for (const name of (await readOnnx(main.output.unfinished)).externalData) {
      const problem = nameProblem(name)
      if (problem) throw refuseFile(from, `keeps weights in a file whose name leads elsewhere: ${problem}`)
      const { sha256, size } = plain.get(name + ENDING) ?? (await take(name + ENDING, { ...main.context, path: name }))
      files.push({ name, sha256, size })
    }
    const { manifest } = main.context
    for (const [relative, file] of plain) {
      if (file.context.manifest !== manifest) throw refuseFile(relative, 'belongs to another model than the files beside it')
      const name = file === main ? '.' : relative.slice(0, -ENDING.length)
      if (file.context.path !== name) throw refuseFile(relative, 'was encrypted under another name')
    }
    if (manifestIdOf(files) !== manifest) throw refuseFile(from, 'and its weights are not what was encrypted together')
    for (const { output } of plain.values()) await output.commit()
    return {
      manifestId: manifest,
      files: [...plain.keys()].map((name) => name.slice(0, -ENDING.length)),
      model: main.context.model,
      version: main.context.version,
    }
  } catch (error) {
    await Promise.all([...plain.values()].map(({ output }) => output.discard()))
    throw error
  }
}

/** Hashes a passing stream. */
function measured(): { readonly step: Transform; hash(): { readonly sha256: string; readonly size: number } } {
  const sha256 = createHash('sha256')
  let size = 0
  const step = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sha256.update(chunk)
      size += chunk.length
      done(null, chunk)
    },
  })
  return { step, hash: () => ({ sha256: sha256.digest('hex'), size }) }
}

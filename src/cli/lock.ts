/** `modelmount lock`: records the bytes under each name, or checks that they are still the same. */

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isModelmountError, ModelmountError } from '../core/errors.ts'
import { onnxRuntimeVersion } from '../core/host/packages.ts'
import {
  describeModel,
  LOCK_FILE,
  type Lock,
  type LockedModel,
  lockOf,
  readLock,
  type TrustAnchors,
  writeLock,
} from '../core/integrity/index.ts'
import { readFacts } from '../core/model/load/files.ts'
import { scanRepository } from '../core/registry/repository.ts'
import { type Command, parse } from './command.ts'
import { repeatFlags } from './many.ts'
import { complain, print } from './output.ts'
import { ANCHOR_FLAGS, ANCHOR_OPTIONS, anchorsFrom, onlyPath } from './verify.ts'

export const lockCommand: Command = {
  usage: `  modelmount lock DIR [-o FILE] [--check]
      Pins the models of a repository: modelmount serve --locked runs nothing else. Exit code 1 with --check: something differs.`,
  options: `Options of lock:
  -o, --output FILE           where the lock file lies                  (default DIR/${LOCK_FILE})
  --check                     write nothing, and say what differs from the lock file
  --public-key FILE..., --certificate-roots FILE... and the like: as for verify; every model must then be signed`,
  async run(argv) {
    const { values, positionals } = parse(repeatFlags(argv, ANCHOR_FLAGS), {
      output: { type: 'string', short: 'o' },
      check: { type: 'boolean', default: false },
      ...ANCHOR_OPTIONS,
    })
    const dir = onlyPath('lock', positionals)
    const asksFor = values['public-key'] ?? values['certificate-roots'] ?? values.identity
    const now = await lockFor(dir, asksFor === undefined ? undefined : anchorsFrom(values))
    const file = values.output ?? join(dir, LOCK_FILE)
    return values.check ? check(file, now) : write(file, now)
  },
}

async function lockFor(dir: string, anchors: TrustAnchors | undefined): Promise<Lock> {
  const { models, ignored } = await scanRepository(dir, 'all')
  for (const { path, reason } of ignored) complain(`${path} is not locked: ${reason}`)
  const locked: LockedModel[] = []
  for (const { name, version, source } of models) {
    try {
      const facts = await readFacts(source, true)
      const { manifestId, ...signed } = await describeModel(source, facts?.externalData ?? [], anchors)
      locked.push({ name, version, manifestId, opset: facts?.opsets ?? {}, ...signed })
    } catch (error) {
      if (!isModelmountError(error)) throw error
      throw new ModelmountError(error.code, `${name}@${version}: ${error.message}`, { cause: error })
    }
  }
  return lockOf(onnxRuntimeVersion(), locked)
}

async function write(file: string, lock: Lock): Promise<number> {
  const text = writeLock(lock)
  const isNew = (await readFile(file, 'utf8').catch(() => undefined)) !== text
  if (isNew) await writeFile(file, text)
  print(`${isNew ? 'locked' : 'unchanged'}: ${counted(lock.models)} in ${file}`)
  return 0
}

async function check(file: string, now: Lock): Promise<number> {
  const differences = differencesOf(await readLock(file), now)
  for (const line of differences) complain(line)
  if (differences.length === 0) print(`${counted(now.models)} as ${file} says`)
  return differences.length === 0 ? 0 : 1
}

function differencesOf(locked: Lock, now: Lock): string[] {
  const keyOf = ({ name, version }: LockedModel): string => `${name}@${version}`
  const before = new Map(locked.models.map((model) => [keyOf(model), model]))
  const after = new Map(now.models.map((model) => [keyOf(model), model]))
  const lines =
    locked.onnxruntime === now.onnxruntime ? [] : [`onnxruntime-node is ${now.onnxruntime}, locked is ${locked.onnxruntime}`]
  for (const [key, model] of after) {
    const known = before.get(key)
    if (!known) lines.push(`${key} is not in the lock file`)
    else if (known.manifestId !== model.manifestId) lines.push(`${key} is ${model.manifestId}, locked is ${known.manifestId}`)
    // A check without a key knows no signer.
    else if (model.signer !== null && known.signer !== null && model.signer !== known.signer)
      lines.push(`${key} was signed by ${model.signer}, locked is ${known.signer}`)
  }
  for (const key of before.keys()) if (!after.has(key)) lines.push(`${key} is in the lock file, and not in the repository`)
  return lines
}

const counted = ({ length }: readonly unknown[]): string => `${length} model version${length === 1 ? '' : 's'}`

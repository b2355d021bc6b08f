/** Reads a model repository directory in the layout that Triton and TensorFlow Serving users have. */

import type { Stats } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ModelmountError } from '../errors.ts'
import { compareVersions } from './registry.ts'

/** A model version found on disk; `source` may turn out not to be loadable. */
export interface FoundModel {
  readonly name: string
  readonly version: string
  readonly source: string
}

export interface RepositoryScan {
  readonly models: readonly FoundModel[]
  /** Entries that look like models and are not served, with the reason. */
  readonly ignored: readonly { readonly path: string; readonly reason: string }[]
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/
const NAME_RULE = 'names are letters, digits, ".", "_" or "-", at most 128 long, starting with a letter or digit'
const MODEL_FILE = /\.(onnx|ort)$/
/** A directory of this name always is a version, also when its model file is missing: that is worth an error. */
const VERSION_DIRECTORY = /^[0-9]+$/

/** Follows symbolic links, as mounted volumes are made of them; `undefined` for a dangling or circular one. */
async function kindOf(path: string): Promise<Stats | undefined> {
  return stat(path).catch(() => undefined)
}

async function modelFileIn(directory: string): Promise<string | undefined> {
  for (const file of ['model.onnx', 'model.ort']) {
    const path = join(directory, file)
    if (await kindOf(path)) return path
  }
  return undefined
}

async function versionsOf(directory: string, ignored: { path: string; reason: string }[]): Promise<Omit<FoundModel, 'name'>[]> {
  const found: Omit<FoundModel, 'name'>[] = []
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => undefined)
  if (!entries) {
    ignored.push({ path: directory, reason: 'it cannot be read' })
    return found
  }
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue
    const path = join(directory, entry.name)
    const kind = await kindOf(path)
    // A version behind a dead link is a version that cannot be loaded, which says more than silence.
    if (kind ? !kind.isDirectory() : !(entry.isSymbolicLink() && VERSION_DIRECTORY.test(entry.name))) continue
    const source = await modelFileIn(path)
    if (!source && !VERSION_DIRECTORY.test(entry.name)) continue
    if (NAME.test(entry.name)) found.push({ version: entry.name, source: source ?? join(path, 'model.onnx') })
    else ignored.push({ path, reason: NAME_RULE })
  }
  // A dangling or circular link is named too: the load then says what is wrong with it.
  const bare = entries.find((entry) => entry.name === 'model.onnx') ?? entries.find((entry) => entry.name === 'model.ort')
  if (!bare) return found
  const source = join(directory, bare.name)
  if (found.some((model) => model.version === '1'))
    ignored.push({ path: source, reason: 'there is a directory for version 1 already' })
  else found.push({ version: '1', source })
  return found
}

/**
 * Finds `<name>/<version>/model.onnx`, `<name>/model.onnx` (version 1) and `<name>.onnx` (version 1).
 * Hidden entries and other files are passed over; symbolic links are followed.
 * @throws ModelmountError `OPTIONS_INVALID` when the directory cannot be read
 */
export async function scanRepository(directory: string, policy: 'all' | { readonly latest: number }): Promise<RepositoryScan> {
  const entries = await readdir(directory, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    throw new ModelmountError('OPTIONS_INVALID', `repository '${directory}' cannot be read as a directory (${error.code})`, {
      details: { field: 'repository' },
      cause: error,
    })
  })
  const models: FoundModel[] = []
  const ignored: { path: string; reason: string }[] = []
  const taken = new Set<string>()
  // Directories first: a lone file of the same name is the odd one out.
  const byKind = await Promise.all(
    entries
      .filter((entry) => !entry.name.startsWith('.'))
      .map(async (entry) => ({
        entry,
        path: join(directory, entry.name),
        isDirectory: (await kindOf(join(directory, entry.name)))?.isDirectory() ?? false,
      })),
  )
  for (const { entry, path, isDirectory } of byKind.sort((a, b) => Number(b.isDirectory) - Number(a.isDirectory))) {
    const name = isDirectory ? entry.name : entry.name.replace(MODEL_FILE, '')
    if (!isDirectory && !MODEL_FILE.test(entry.name)) {
      if (entry.isSymbolicLink() && !(await kindOf(path))) ignored.push({ path, reason: 'it is a link that leads nowhere' })
      continue
    }
    if (!NAME.test(name)) {
      ignored.push({ path, reason: NAME_RULE })
      continue
    }
    if (taken.has(name)) {
      ignored.push({ path, reason: `'${name}' is served from the directory of that name` })
      continue
    }
    const versions = isDirectory ? await versionsOf(path, ignored) : [{ version: '1', source: path }]
    if (versions.length === 0) {
      ignored.push({ path, reason: 'it holds no model.onnx and no version directory' })
      continue
    }
    taken.add(name)
    versions.sort((a, b) => compareVersions(a.version, b.version))
    for (const version of policy === 'all' ? versions : versions.slice(-policy.latest)) models.push({ name, ...version })
  }
  return { models: models.sort((a, b) => compareVersions(a.name, b.name)), ignored }
}

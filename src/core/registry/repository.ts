/** Reads a model repository directory in the layout that Triton and TensorFlow Serving users have. */

import type { Stats } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ModelmountError } from '../errors.ts'
import type { DirectoryConfig, FoundModel } from './found.ts'
import { readModelConfig } from './model-config.ts'
import type { VersionPolicy } from './types.ts'
import { compareVersions, isVersionNumber, looksLikeVersion, VERSION_RULE } from './versions.ts'

export { resolveFound } from './resolve.ts'

type Version = Pick<FoundModel, 'version' | 'source'>

/** An entry that looks like a model and is not served. */
export interface Ignored {
  readonly path: string
  readonly reason: string
}

export interface RepositoryScan {
  readonly models: readonly FoundModel[]
  readonly ignored: readonly Ignored[]
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/
const NAME_RULE = 'names are letters, digits, ".", "_" or "-", at most 128 long, starting with a letter or digit'
const MODEL_FILE = /\.(onnx|onnx\.enc|ort)$/
/** Looked for in this order. */
const USUAL_NAMES = ['model.onnx', 'model.onnx.enc', 'model.ort']

/** A lone file has no directory to say anything in. */
const NO_CONFIG: DirectoryConfig = {
  settings: {},
  versionPolicy: undefined,
  file: undefined,
  tritonConfig: undefined,
  configNotes: [],
  fault: undefined,
}

/** Follows symbolic links, as mounted volumes are made of them; `undefined` for a dangling or circular one. */
async function kindOf(path: string): Promise<Stats | undefined> {
  return stat(path).catch(() => undefined)
}

/** The model file of a directory; a directory of that name holds it together with its external data. */
async function modelFileIn(directory: string, file: string | undefined): Promise<string | undefined> {
  for (const name of file === undefined ? USUAL_NAMES : [file]) {
    const path = join(directory, name)
    const kind = await kindOf(path)
    if (kind?.isDirectory()) return (await fileInside(path, name)) ?? path
    if (kind) return path
  }
  return undefined
}

/** `model.onnx/model.onnx`, or the only model file there is. */
async function fileInside(directory: string, name: string): Promise<string | undefined> {
  const files = (await readdir(directory).catch(() => [])).filter((file) => !file.startsWith('.') && MODEL_FILE.test(file))
  const file = files.includes(name) ? name : files.length === 1 ? files[0] : undefined
  return file === undefined ? undefined : join(directory, file)
}

async function versionsOf(directory: string, config: DirectoryConfig, ignored: Ignored[]): Promise<Version[]> {
  const found: Version[] = []
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => undefined)
  if (!entries) {
    ignored.push({ path: directory, reason: 'it cannot be read' })
    return found
  }
  for (const entry of entries) {
    const path = join(directory, entry.name)
    const kind = await kindOf(path)
    // A version behind a dead link is a version that cannot be loaded, which says more than silence.
    if (!(kind ? kind.isDirectory() : entry.isSymbolicLink())) continue
    if (isVersionNumber(entry.name)) {
      // One without a model file is worth an error too.
      const source = (await modelFileIn(path, config.file)) ?? join(path, config.file ?? 'model.onnx')
      found.push({ version: entry.name, source })
    } else if (await isMistaken(entry.name, path, config.file)) ignored.push({ path, reason: VERSION_RULE })
  }
  const bare = await bareModel(directory, entries, config.file)
  if (bare === undefined) return found
  if (found.some((model) => model.version === '1'))
    ignored.push({ path: bare, reason: 'there is a directory for version 1 already' })
  else found.push({ version: '1', source: bare })
  return found
}

/** A directory that may be mistaken for a version: it is called like one, or holds a model. Labels and warm-up data are neither. */
async function isMistaken(name: string, path: string, file: string | undefined): Promise<boolean> {
  if (looksLikeVersion(name)) return true
  // The bare model of this directory, together with its external data.
  if (name.startsWith('.') || MODEL_FILE.test(name)) return false
  return (await modelFileIn(path, file)) !== undefined
}

/** A dangling or circular link is named too: the load then says what is wrong with it. */
async function bareModel(
  directory: string,
  entries: readonly { readonly name: string }[],
  file: string | undefined,
): Promise<string | undefined> {
  const names = file === undefined ? USUAL_NAMES : [file]
  const name = names.find((name) => entries.some((entry) => entry.name === name))
  return name === undefined ? undefined : ((await modelFileIn(directory, name)) ?? join(directory, name))
}

function selected(versions: readonly Version[], policy: VersionPolicy, path: string, ignored: Ignored[]): readonly Version[] {
  const sorted = [...versions].sort((a, b) => compareVersions(a.version, b.version))
  if (policy === 'all') return sorted
  if ('latest' in policy) return sorted.slice(-policy.latest)
  for (const wanted of policy.specific) {
    if (!sorted.some(({ version }) => version === wanted))
      ignored.push({ path: join(path, wanted), reason: 'the version policy names it, but it is not there' })
  }
  return sorted.filter(({ version }) => policy.specific.includes(version))
}

/**
 * Finds `<name>/<version>/model.onnx`, `<name>/model.onnx` (version 1) and `<name>.onnx` (version 1), with what `model.json` and `config.pbtxt` in
 * `<name>` say. Hidden entries and other files are passed over; symbolic links are followed.
 * @param policy for all models. @default each model's own
 * @throws ModelmountError `OPTIONS_INVALID` when the directory cannot be read
 */
export async function scanRepository(directory: string, policy?: VersionPolicy): Promise<RepositoryScan> {
  const entries = await readdir(directory, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    throw new ModelmountError('OPTIONS_INVALID', `repository '${directory}' cannot be read as a directory (${error.code})`, {
      details: { field: 'repository' },
      cause: error,
    })
  })
  const models: FoundModel[] = []
  const ignored: Ignored[] = []
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
    const config = isDirectory ? await readModelConfig(path, name) : NO_CONFIG
    const versions = isDirectory ? await versionsOf(path, config, ignored) : [{ version: '1', source: path }]
    if (versions.length === 0) {
      ignored.push({ path, reason: 'it holds no model.onnx and no version directory' })
      continue
    }
    taken.add(name)
    // A configuration that cannot be read says nothing of versions: one carries the reason.
    const own = config.versionPolicy ?? (config.fault ? { latest: 1 } : 'all')
    for (const version of selected(versions, policy ?? own, path, ignored)) models.push({ name, ...version, config })
  }
  return { models: models.sort((a, b) => compareVersions(a.name, b.name)), ignored }
}

/** Requests of each model's files that are not met, once for any number of versions. */
export const notesOf = ({ models }: RepositoryScan): ReadonlyMap<string, DirectoryConfig['configNotes']> =>
  new Map(models.map(({ name, config }) => [name, config.configNotes]))

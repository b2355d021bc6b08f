/**
 * The private store. Files are hashed on their way into a folder that only this user can write to, and loaded from there.
 * So the loaded bytes are the hashed ones. A model lies under its manifest id, so that nothing in it is ever changed.
 *
 * ```
 * models/<id>/manifest.json     the files of the model
 * models/<id>/files/…           its files, 0400, in folders with 0700
 * seen/<hash of a path>.json    digest of a file elsewhere, for as long as it is not touched
 * staging/…                     copies in progress
 * ```
 * Files are copied, never hard-linked: anyone who may write to the original could change a link.
 */

import { createHash, randomUUID } from 'node:crypto'
import { lstat, mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { ModelmountError } from '../errors.ts'
import { type Hashed, identityOf } from './hash.ts'
import { hashFiles } from './hash-thread.ts'
import { isRecord } from './json.ts'
import { type ManifestFile, manifestIdOf } from './manifest.ts'
import { type StoreOptions, storeConfig } from './options.ts'

/** A file system may record the same time twice: a file touched this recently may be touched again without showing it. */
const RACY_MS = 2000
/** Others may run a model used this recently. */
const KEEP_MS = 24 * 3600 * 1000
const REFRESH_MS = 3600 * 1000

export interface Stored {
  readonly manifestId: string
  readonly files: readonly ManifestFile[]
  /** The model's own file. */
  readonly source: string
}

export interface Staging {
  /** Copies a file in and hashes it on the way. @param name as in the manifest @param as its path inside the store */
  add(name: string, as: string, from: string): Promise<Hashed>
  path(as: string): string
  /** Completes it as a model of the store. */
  commit(): Promise<Stored>
  discard(): Promise<void>
}

export interface Store {
  /** Undefined if it is missing or was changed. */
  find(manifestId: string): Promise<Stored | undefined>
  stage(): Promise<Staging>
  /** Remembered facts about a file that was not touched since. */
  seen(path: string): Promise<Seen | undefined>
  remember(path: string, hashed: Hashed, dataNames?: readonly string[]): Promise<void>
  /** Keeps a model from being cleaned up; returns a function that releases it. */
  hold(manifestId: string): () => void
  /** Resolves when a current clean-up has ended. */
  close(): Promise<void>
}

export interface Seen {
  readonly sha256: string
  readonly size: number
  /** Files that the model keeps weights in. */
  readonly dataNames: readonly string[] | undefined
}

interface Deps {
  /** Milliseconds since 1970. */
  wallNow(): number
  warn(message: string): void
}

interface KeptFile extends ManifestFile {
  readonly as: string
  readonly identity: string
}

export function defaultStoreDir(env: NodeJS.ProcessEnv = process.env, platform: string = process.platform): string {
  const home = homedir()
  if (platform === 'win32') return join(env.LOCALAPPDATA ?? join(home, 'AppData', 'Local'), 'modelmount-models')
  if (platform === 'darwin') return join(home, 'Library', 'Caches', 'modelmount-models')
  return join(env.XDG_CACHE_HOME || join(home, '.cache'), 'modelmount-models')
}

export function createStore(options: StoreOptions, { wallNow, warn }: Deps): Store {
  const { dir = defaultStoreDir(), maxBytes, rehash } = storeConfig(options)
  const held = new Map<string, number>()
  let opened: Promise<void> | undefined
  let cleaning: Promise<void> | undefined

  const folderOf = (manifestId: string): string => join(dir, 'models', manifestId.replace('sha256:', ''))
  const seenFile = (path: string): string => join(dir, 'seen', `${createHash('sha256').update(path).digest('hex')}.json`)

  let refresh: NodeJS.Timeout | undefined

  function open(): Promise<void> {
    opened ??= prepare(dir).catch((error: unknown) => {
      opened = undefined
      throw error
    })
    // A model that runs for days is in use all the time, though it is never loaded again.
    refresh ??= setInterval(() => void Promise.all([...held.keys()].map(touch)), REFRESH_MS).unref()
    return opened
  }

  async function find(manifestId: string): Promise<Stored | undefined> {
    await open()
    const folder = folderOf(manifestId)
    const files = await keptFiles(folder)
    if (!files || manifestIdOf(files) !== manifestId) return undefined
    const paths = files.map(({ as }) => join(folder, 'files', as))
    const identities = await Promise.all(paths.map(identityAt))
    if (files.some(({ identity }, i) => identity !== identities[i])) return undefined
    if (rehash) {
      const hashed = await hashFiles(paths.map((path) => ({ path }))).catch(() => [])
      if (files.some(({ sha256 }, i) => sha256 !== hashed[i]?.sha256)) return undefined
    }
    await touch(manifestId)
    const source = paths[files.findIndex(({ name }) => name === '.')]
    return source === undefined ? undefined : { manifestId, files, source }
  }

  async function stage(): Promise<Staging> {
    await open()
    const folder = join(dir, 'staging', randomUUID())
    const kept: KeptFile[] = []
    const path = (as: string): string => join(folder, 'files', as)
    await mkdir(join(folder, 'files'), { recursive: true, mode: 0o700 }).catch(unusable(dir))
    return {
      path,
      async add(name, as, from) {
        await mkdir(dirname(path(as)), { recursive: true, mode: 0o700 })
        const [hashed] = await hashFiles([{ path: from, to: path(as) }])
        const { sha256, size } = hashed as Hashed
        kept.push({ name, as, sha256, size, identity: await identityAt(path(as)) })
        return hashed as Hashed
      },
      async commit() {
        const manifestId = manifestIdOf(kept)
        await writeFile(join(folder, 'manifest.json'), JSON.stringify({ manifestId, files: kept }), { mode: 0o600 })
        await moveIn(folder, manifestId)
        const stored = await find(manifestId)
        if (!stored)
          throw new ModelmountError('MODEL_LOAD_FAILED', `the model store '${dir}' does not keep what is written to it`)
        cleaning = cleanUp().catch((error: unknown) => warn(`the model store '${dir}' could not be cleaned up: ${String(error)}`))
        return stored
      },
      discard: () => rm(folder, { recursive: true, force: true }),
    }
  }

  /** Another process may have put the same model there; a damaged one is replaced. */
  async function moveIn(folder: string, manifestId: string): Promise<void> {
    for (;;) {
      try {
        return await rename(folder, folderOf(manifestId))
      } catch (cause) {
        if (!['ENOTEMPTY', 'EEXIST', 'EPERM'].includes((cause as NodeJS.ErrnoException).code ?? '')) throw unusable(dir)(cause)
        if (await find(manifestId)) return rm(folder, { recursive: true, force: true })
        const away = join(dir, 'staging', randomUUID())
        await rename(folderOf(manifestId), away).catch(unusable(dir))
        await rm(away, { recursive: true, force: true })
      }
    }
  }

  async function touch(manifestId: string): Promise<void> {
    const now = wallNow() / 1000
    await utimes(join(folderOf(manifestId), 'manifest.json'), now, now).catch(() => {})
  }

  /**
   * Remains of crashes leave after a day. Then the least recently used models leave first.
   * Models in use here, or used anywhere within a day, stay.
   */
  async function cleanUp(): Promise<void> {
    const now = wallNow()
    const unfinished = (await readdir(join(dir, 'seen')))
      .filter((name) => !name.endsWith('.json'))
      .map((name) => join('seen', name))
    for (const name of [...unfinished, ...(await readdir(join(dir, 'staging'))).map((name) => join('staging', name))]) {
      const left = await stat(join(dir, name)).catch(() => undefined)
      if (left && now - left.mtimeMs > KEEP_MS) await rm(join(dir, name), { recursive: true, force: true })
    }
    const models: { readonly id: string; readonly bytes: number; readonly usedAt: number }[] = []
    for (const id of await readdir(join(dir, 'models'))) {
      const folder = join(dir, 'models', id)
      const files = await keptFiles(folder)
      const used = await stat(join(folder, 'manifest.json')).catch(() => undefined)
      models.push({ id, bytes: (files ?? []).reduce((sum, { size }) => sum + size, 0), usedAt: used?.mtimeMs ?? 0 })
    }
    let bytes = models.reduce((sum, model) => sum + model.bytes, 0)
    for (const model of models.sort((a, b) => a.usedAt - b.usedAt)) {
      if (bytes <= maxBytes || now - model.usedAt < KEEP_MS) return
      if (held.has(`sha256:${model.id}`)) continue
      await rm(join(dir, 'models', model.id), { recursive: true, force: true })
      bytes -= model.bytes
    }
  }

  return {
    find,
    stage,
    async seen(path) {
      await open()
      const text = await readFile(seenFile(path), 'utf8').catch(() => undefined)
      const entry = text === undefined ? undefined : parsed(text)
      if (!entry || typeof entry.identity !== 'string' || entry.identity !== (await identityAt(path))) return undefined
      return entry as unknown as Seen
    },
    async remember(path, hashed, dataNames) {
      if (wallNow() - hashed.changedAtMs < RACY_MS) return
      const { sha256, size, identity } = hashed
      await writeWhole(seenFile(path), JSON.stringify({ identity, sha256, size, dataNames }))
    },
    hold(manifestId) {
      held.set(manifestId, (held.get(manifestId) ?? 0) + 1)
      let isHeld = true
      return () => {
        if (!isHeld) return
        isHeld = false
        const left = (held.get(manifestId) ?? 1) - 1
        if (left > 0) held.set(manifestId, left)
        else held.delete(manifestId)
      }
    },
    async close() {
      clearInterval(refresh)
      await cleaning
    },
  }
}

const unusable =
  (dir: string) =>
  (cause: unknown): never => {
    const code = (cause as NodeJS.ErrnoException).code ?? String(cause)
    throw new ModelmountError('MODEL_LOAD_FAILED', `the model store '${dir}' cannot be used (${code}); store.dir names another`, {
      details: { field: 'store.dir' },
      cause,
    })
  }

/** @throws ModelmountError `MODEL_LOAD_FAILED` if others could write to it */
async function prepare(dir: string): Promise<void> {
  for (const folder of ['models', 'seen', 'staging'])
    await mkdir(join(dir, folder), { recursive: true, mode: 0o700 }).catch(unusable(dir))
  // Windows keeps each user's cache folder from the others by itself.
  if (process.platform === 'win32') return
  for (const folder of ['', 'models', 'seen', 'staging'].map((name) => join(dir, name))) {
    // The folder itself may be reached by a link; its contents are ours.
    const stats = await (folder === join(dir, '') ? stat(folder) : lstat(folder)).catch(unusable(dir))
    const problem = !stats.isDirectory()
      ? 'is not a folder'
      : stats.uid !== process.getuid?.()
        ? 'belongs to another user'
        : (stats.mode & 0o022) !== 0
          ? 'can be written to by others'
          : undefined
    if (problem)
      throw new ModelmountError('MODEL_LOAD_FAILED', `model store '${folder}' ${problem}; store.dir names another`, {
        details: { field: 'store.dir' },
      })
  }
}

async function identityAt(path: string): Promise<string> {
  const stats = await lstat(path, { bigint: true }).catch(() => undefined)
  return stats?.isFile() ? identityOf(stats) : ''
}

async function keptFiles(folder: string): Promise<readonly KeptFile[] | undefined> {
  const text = await readFile(join(folder, 'manifest.json'), 'utf8').catch(() => undefined)
  const manifest = text === undefined ? undefined : parsed(text)
  return Array.isArray(manifest?.files) ? (manifest.files as readonly KeptFile[]) : undefined
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch {
    // Cut off by a crash: treated as missing.
    return undefined
  }
}

async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomUUID()}`
  // Only a shortcut for the next load: a full disk must not fail this one.
  await writeFile(temporary, text, { mode: 0o600 })
    .then(() => rename(temporary, path))
    .catch(() => rm(temporary, { force: true }))
}

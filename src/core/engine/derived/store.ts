/** Derived models on disk: one folder each, complete or absent, checked before use, dropped when long unused. */

import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'

export const MODEL_FILE = 'model.onnx'
export const DATA_FILE = 'weights.bin'
const MANIFEST_FILE = 'manifest.json'
const FORMAT = 1

const HOUR_MS = 3_600_000
/** A build that takes longer than this is dead. */
const STALE_MS = HOUR_MS
const UNUSED_MS = 30 * 24 * HOUR_MS
const MAX_BYTES = 16 * 2 ** 30

export interface Manifest {
  readonly format: typeof FORMAT
  /** sha256 by file name; none if the verdict is against it. */
  readonly files: Readonly<Record<string, string>>
  readonly bytes: number
  readonly verdict: Verdict
}

/** Result of trying the derived model beside the plain one. */
export interface Verdict {
  readonly same: boolean
  /** Time of a plain run divided by that of a derived one: 1 is as fast, less is slower. */
  readonly speed: number
}

/** Reads an entry's manifest; nothing if it is missing or damaged. */
export async function readManifest(root: string, entry: string): Promise<Manifest | undefined> {
  try {
    const read = JSON.parse(await readFile(join(root, entry, MANIFEST_FILE), 'utf8')) as Partial<Manifest> | null
    const { format, files, bytes, verdict } = read ?? {}
    const isSound =
      format === FORMAT &&
      typeof files === 'object' &&
      files !== null &&
      Object.entries(files).every(([name, hash]) => [MODEL_FILE, DATA_FILE].includes(name) && typeof hash === 'string') &&
      typeof bytes === 'number' &&
      typeof verdict?.same === 'boolean' &&
      typeof verdict.speed === 'number'
    return isSound ? (read as Manifest) : undefined
  } catch {
    return undefined
  }
}

/** Entries whose name starts like this; none if the folder cannot be read. */
export async function entriesLike(root: string, prefix: string): Promise<string[]> {
  return (await readdir(root).catch(() => [])).filter((name) => name.startsWith(prefix))
}

/** A folder of our own to build in. Its name identifies the builder, so that remains of a crash can be told from work in progress. */
export async function openDraft(root: string): Promise<string> {
  const path = join(root, `${draftPrefix()}${process.pid}-${randomBytes(6).toString('hex')}`)
  await mkdir(path, { mode: 0o700 })
  return path
}

/** Containers that share a folder number their processes alike. */
const draftPrefix = (): string => `draft-${hostname().replace(/[^A-Za-z0-9]/g, '_')}-`

/**
 * Makes a draft the entry.
 * @returns false if another process's entry of the same key was there first: that one stays
 */
export async function publish(root: string, entry: string, draft: string, manifest: Manifest): Promise<boolean> {
  await writeFile(join(draft, MANIFEST_FILE), JSON.stringify(manifest), { mode: 0o600, flush: true })
  try {
    await rename(draft, join(root, entry))
    return true
  } catch (error) {
    if (!(await readManifest(root, entry))) throw error
    await drop(draft)
    return false
  }
}

/** Renames an entry before removing it, so that a reader never opens half of it. */
export async function discard(root: string, entry: string): Promise<void> {
  const trash = join(root, `${draftPrefix()}${process.pid}-${randomBytes(6).toString('hex')}`)
  try {
    await rename(join(root, entry), trash)
    await drop(trash)
  } catch {
    // Gone already, or open elsewhere on a system that keeps open files.
  }
}

export const drop = (path: string): Promise<void> => rm(path, { recursive: true, force: true }).catch(() => {})

/** Remembers that an entry is in use. */
export async function touch(root: string, entry: string): Promise<void> {
  const now = new Date()
  await utimes(join(root, entry, MANIFEST_FILE), now, now).catch(() => {})
}

/** Drops remains of crashed builds, entries unused for a month, and the longest unused ones if all take too much. */
export async function tidy(root: string, keep: string): Promise<void> {
  const names = await readdir(root).catch(() => [])
  const entries: { name: string; usedAt: number; bytes: number }[] = []
  for (const name of names) {
    if (name.startsWith('draft-')) {
      if (await isStale(root, name)) await drop(join(root, name))
    } else if (name !== keep && ENTRY.test(name)) {
      const manifest = await readManifest(root, name)
      const usedAt = await stat(join(root, name, MANIFEST_FILE)).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      )
      entries.push({ name, usedAt, bytes: manifest?.bytes ?? 0 })
    }
  }
  let bytes = (await readManifest(root, keep))?.bytes ?? 0
  for (const entry of entries.sort((a, b) => b.usedAt - a.usedAt)) {
    bytes += entry.bytes
    if (entry.usedAt < Date.now() - UNUSED_MS || bytes > MAX_BYTES) await discard(root, entry.name)
  }
}

/** Pattern of an entry's name; the folder may hold unrelated files. */
const ENTRY = /^[0-9a-f]{16}-[0-9a-f]{32}$/

async function isStale(root: string, name: string): Promise<boolean> {
  const prefix = draftPrefix()
  if (name.startsWith(prefix)) {
    const pid = Number.parseInt(name.slice(prefix.length), 10)
    return pid !== process.pid && !isAlive(pid)
  }
  return stat(join(root, name)).then(
    ({ mtimeMs }) => mtimeMs < Date.now() - STALE_MS,
    () => false,
  )
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

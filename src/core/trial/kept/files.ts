/** Proofs on disk, a file each. Several processes may share the folder: a file appears as a whole, or not at all. */

import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openDirectory } from '../../engine/derived/directory.ts'

export interface ProofFiles {
  /** `undefined` where there is none. @throws where it cannot be read */
  read(name: string): Promise<string | undefined>
  /** Replaces the one that is there. @throws where it cannot be written */
  write(name: string, text: string): Promise<void>
}

/** A proof takes about a kilobyte. */
const MAX_BYTES = 64 * 1024
const MOST_FILES = 1000
const HOUR_MS = 3_600_000
const UNUSED_MS = 30 * 24 * HOUR_MS

/** A FIFO must not make us wait for a writer. */
const READ_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)

/** @param wanted the cache folder. @returns `undefined` where there is no folder that can be used */
export async function openProofFiles(wanted: string | undefined): Promise<ProofFiles | undefined> {
  const directory = await openDirectory(wanted)
  if ('refused' in directory) return undefined
  const root = join(directory.path, 'proofs')
  let isTidy = false
  return {
    read: (name) => readSmall(join(root, name)),
    async write(name, text) {
      await mkdir(root, { mode: 0o700 }).catch(unlessThere)
      const draft = join(root, `${process.pid}-${randomBytes(6).toString('hex')}${DRAFT}`)
      try {
        await writeFile(draft, text, { mode: 0o600, flag: 'wx' })
        await rename(draft, join(root, name))
      } catch (error) {
        await rm(draft, { force: true }).catch(() => {})
        throw error
      }
      if (!isTidy) await tidy(root)
      isTidy = true
    },
  }
}

const DRAFT = '.draft'
const ENTRY = /^[0-9a-f]{40}\.json$/

function unlessThere(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error
}

async function readSmall(path: string): Promise<string | undefined> {
  const file = await open(path, READ_FLAGS).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (!file) return undefined
  try {
    const found = await file.stat()
    // Empty is as damaged as anything else.
    return found.isFile() && found.size <= MAX_BYTES ? await file.readFile('utf8') : ''
  } finally {
    await file.close()
  }
}

/** Removes drafts of processes that have died, and proofs that are old or too many. */
async function tidy(root: string): Promise<void> {
  const found: { path: string; isDraft: boolean; writtenAt: number }[] = []
  for (const name of await readdir(root).catch(() => [])) {
    const isDraft = name.endsWith(DRAFT)
    if (!isDraft && !ENTRY.test(name)) continue
    const path = join(root, name)
    const writtenAt = await stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => undefined,
    )
    if (writtenAt !== undefined) found.push({ path, isDraft, writtenAt })
  }
  const now = Date.now()
  const isOld = ({ isDraft, writtenAt }: { isDraft: boolean; writtenAt: number }): boolean =>
    writtenAt < now - (isDraft ? HOUR_MS : UNUSED_MS)
  const entries = found.filter(({ isDraft }) => !isDraft).sort((a, b) => b.writtenAt - a.writtenAt)
  const gone = new Set([...found.filter(isOld), ...entries.slice(MOST_FILES)])
  for (const { path } of gone) await rm(path, { force: true }).catch(() => {})
}

/** An empty working folder for a child: a relative path leads to nothing there. */

import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hostUnsupported, refusedByHost } from '../host/problems.ts'

export interface EmptyFolder {
  readonly path: string
  /** May be called more than once, and while a process works in it. Windows removes it only once none does. */
  remove(): void
}

/** Even if the system is mounted read-only, shared memory is usually writable. */
const usualPlaces = (): string[] => [tmpdir(), ...(process.platform === 'linux' ? ['/dev/shm'] : [])]

/** @throws ModelmountError `HOST_UNSUPPORTED` if none of the places is writable */
export function makeEmptyFolder(places: readonly string[] = usualPlaces()): EmptyFolder {
  const reasons: string[] = []
  for (const place of places) {
    try {
      const path = mkdtempSync(join(place, 'modelmount-'))
      return { path, remove: () => remove(path) }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ERR_ACCESS_DENIED') throw refusedByHost(error)
      reasons.push(`${place} (${code})`)
    }
  }
  throw hostUnsupported(
    'temporary-folder',
    `a child process needs an empty folder, and none can be made in ${reasons.join(', ')}: set TMPDIR to a folder that this process may write to, such as a tmpfs at /tmp`,
  )
}

function remove(path: string): void {
  try {
    rmdirSync(path)
  } catch {
    // Gone already, or still in use on Windows.
  }
}

/**
 * The folder of derived models. Its contents are loaded as if they were the model itself, so no other user may be able to write there. It
 * must be ours, not a link, and not writable for others.
 */

import { access, constants, lstat, mkdir } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'

export type Directory = { readonly path: string } | { readonly refused: string }

/** Opens the requested folder, or the first usable one of the usual places, and makes it if need be. */
export async function openDirectory(wanted: string | undefined): Promise<Directory> {
  const candidates = wanted === undefined ? usualPlaces() : [resolve(wanted)]
  const problems: string[] = []
  for (const path of candidates) {
    const problem = await problemOf(path)
    if (problem === undefined) return { path }
    problems.push(`${JSON.stringify(path)} ${problem}`)
  }
  return { refused: `the cache directory ${problems.join(', and ')}` }
}

/** The user's cache folder, where the system expects large files that can be made again; without a home, the folder for temporary files. */
function usualPlaces(): string[] {
  const user = process.getuid?.() ?? 'user'
  return [join(cacheHome(), 'modelmount'), join(tmpdir(), `modelmount-${user}`)].map((path) => resolve(path))
}

function cacheHome(): string {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = process.env
  if (XDG_CACHE_HOME) return XDG_CACHE_HOME
  if (process.platform === 'win32' && LOCALAPPDATA) return LOCALAPPDATA
  return join(homedir(), process.platform === 'darwin' ? 'Library/Caches' : '.cache')
}

/** The objection to a folder, worded as the rest of a sentence. */
async function problemOf(path: string): Promise<string | undefined> {
  try {
    await make(path)
    const found = await lstat(path)
    if (found.isSymbolicLink()) return 'is a symbolic link'
    if (!found.isDirectory()) return 'is not a directory'
    // Windows has neither; there the profile folder is private by itself.
    const uid = process.getuid?.()
    if (uid !== undefined && found.uid !== uid) return 'belongs to another user'
    if (uid !== undefined && (found.mode & 0o022) !== 0) return 'can be written by others'
    await access(path, constants.W_OK)
    return undefined
  } catch (error) {
    return `cannot be used (${codeOf(error)})`
  }
}

/** Node's own `recursive` never returns if the parent exists and refuses with ENOENT, as in /proc. */
async function make(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return
    const parent = dirname(path)
    if (codeOf(error) !== 'ENOENT' || parent === path) throw error
    await make(parent)
    await mkdir(path, { mode: 0o700 }).catch((again: unknown) => {
      if (codeOf(again) !== 'EEXIST') throw again
    })
  }
}

const codeOf = (error: unknown): string =>
  String((error as NodeJS.ErrnoException | undefined)?.code ?? (error instanceof Error ? error.message : error))

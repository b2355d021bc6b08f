/** The files of a model on disk, found the way the reference implementation of the signature format finds them. */

import { lstat, readdir, realpath } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { printable } from '../host/printable.ts'
import { nameProblem, pathSet, sortByName } from './names.ts'
import { refuse } from './refusal.ts'

export interface ModelFile {
  /** Relative to the model, with `/`; `.` for a model of one file. */
  readonly name: string
  readonly path: string
}

/** Left out unless requested: they change with every clone of a repository. */
export const GIT_PATHS: readonly string[] = ['.git', '.gitattributes', '.github', '.gitignore']

const MAX_FILES = 100_000

/**
 * Regular files below a folder in the order of the format, or the one file. Links and special files are refused, even in excluded folders:
 * other software that follows a link would read unsigned bytes.
 * @throws ModelmountError `MODEL_UNTRUSTED`
 */
export async function listFiles(root: string, ignored: readonly string[]): Promise<readonly ModelFile[]> {
  const isIgnored = pathSet(ignored)
  const files: ModelFile[] = []

  async function visit(path: string, name: string): Promise<void> {
    const stats = await lstat(path).catch((cause: NodeJS.ErrnoException) => {
      throw refuse(`${shown(path)} cannot be read (${cause.code})`, { field: 'path', path }, cause)
    })
    if (stats.isSymbolicLink()) throw refuse(`${shown(path)} is a symbolic link, which a signed model must not hold`, { path })
    if (stats.isFile()) {
      if (isIgnored(name)) return
      if (files.push({ name, path }) > MAX_FILES) throw refuse(`the model has more than ${MAX_FILES} files`)
    } else if (stats.isDirectory()) await visitAll(path, name)
    else throw refuse(`${shown(path)} is neither a file nor a folder`, { path })
  }

  async function visitAll(folder: string, name: string): Promise<void> {
    const entries = await readdir(folder, { encoding: 'buffer' }).catch((cause: NodeJS.ErrnoException) => {
      throw refuse(`folder ${shown(folder)} cannot be read (${cause.code})`, { path: folder }, cause)
    })
    for (const bytes of entries) {
      const entry = bytes.toString('utf8')
      const problem = Buffer.from(entry).equals(bytes) ? nameProblem(entry) : 'it is not UTF-8'
      if (problem) throw refuse(`${shown(join(folder, entry))} cannot be the name of a model's file: ${problem}`)
      await visit(join(folder, entry), name === '.' ? entry : `${name}/${entry}`)
    }
  }

  await visit(root, '.')
  return sortByName(files)
}

/** A path's place inside the model; `undefined` if it lies elsewhere, or is the model itself. */
export async function nameInside(root: string, path: string): Promise<string | undefined> {
  // The file itself may not exist yet, so its folder is resolved.
  const [realRoot, realPath] = await Promise.all([realpath(root), resolved(path)]).catch(() => [])
  if (realRoot === undefined || realPath === undefined) return undefined
  const name = relative(realRoot, realPath)
  if (name === '' || name === '..' || name.startsWith(`..${sep}`) || name === realPath) return undefined
  return name.split(sep).join('/')
}

async function resolved(path: string): Promise<string> {
  return realpath(path).catch(async () => join(await realpath(join(path, '..')), path.split(sep).at(-1) ?? ''))
}

const shown = (path: string): string => `'${printable(path).slice(0, 300)}'`

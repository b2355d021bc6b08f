/** Judges the files that a model keeps its weights in: whether they may be opened, and are long enough. It opens nothing. */

import { realpath, stat } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { nameProblem } from '../../integrity/index.ts'
import { shown } from '../shown.ts'
import type { Findings, ScanFindingId } from './findings.ts'
import type { Reference } from './references.ts'

/** ONNX Runtime writes this for a tensor at an address of its own memory. */
const MEMORY_MARKER = /_ort_mem_addr_/i
const CONTROL = /\p{Cc}/u
/** Early exporters wrote one file per tensor. */
const MAX_FILES = 10_000

export interface ExternalFile {
  readonly location: string
  /** `undefined` if it was not looked up or must not be opened. */
  readonly bytes: number | undefined
}

/** Notes a fault of a file; the message continues a sentence. */
type Note = (id: ScanFindingId, message: string) => undefined

/** Size of the file of that name, if it is harmless. */
type SizeOf = (location: string, note: Note) => Promise<number | undefined>

export async function checkFiles(
  references: Iterable<Reference>,
  sizeOf: SizeOf,
  findings: Findings,
): Promise<readonly ExternalFile[]> {
  const files: ExternalFile[] = []
  for (const { location, where, end, endWhere } of references) {
    if (files.length === MAX_FILES) {
      findings.add('external-count', where, `weights are kept in more than ${MAX_FILES} files`)
      break
    }
    const note: Note = (id, message) => void findings.add(id, where, `weights are kept in "${shown(location)}", which ${message}`)
    const bytes = isBadLocation(location, note) ? undefined : await sizeOf(location, note)
    if (bytes !== undefined && end > BigInt(bytes)) {
      const message = `weights up to byte ${end} are kept in "${shown(location)}", which has ${bytes} bytes`
      findings.add('external-range', endWhere, message)
    }
    files.push({ location, bytes })
  }
  return files
}

function isBadLocation(location: string, note: Note): boolean {
  if (MEMORY_MARKER.test(location)) note('external-memory', 'is an address in memory')
  else if (CONTROL.test(location)) note('external-location', 'holds control characters')
  else {
    // Some exporters write `./weights.bin`.
    const problem = nameProblem(location.replace(/^\.\//, ''))
    if (problem === undefined) return false
    note('external-location', `cannot be a file of the model: ${problem}`)
  }
  return true
}

/** For a model given as bytes, with the sizes of its companion files. */
export const sizesInMemory =
  (sizes: ReadonlyMap<string, number>): SizeOf =>
  async (location, note) =>
    sizes.get(location) ?? note('external-in-bytes', 'a model given as bytes does not have: pass its path')

/**
 * For a model in a file. Links are followed as ONNX Runtime does: inside the model's folder, and inside the real folder of the model's
 * file. Caches of models keep everything behind links.
 * @param areOurs the files are our own copies, or a trusted signer has signed them: another name for one of them does no harm
 */
export function sizesOnDisk(source: string, areOurs: boolean): SizeOf {
  const folder = dirname(source)
  const real = (path: string): Promise<string> => realpath(path).catch(() => path)
  const roots = Promise.all([real(folder), real(source).then(dirname)])

  return async (location, note) => {
    const path = await realpath(join(folder, location)).catch((cause: NodeJS.ErrnoException) => cause)
    if (typeof path !== 'string') {
      const isGone = path.code === 'ENOENT' || path.code === 'ENOTDIR'
      return note('external-missing', isGone ? 'does not exist' : `cannot be reached (${path.code})`)
    }
    if (!(await roots).some((root) => isInside(root, path)))
      return note('external-outside', "leads out of the model's folder through a link")
    const stats = await stat(path).catch(() => undefined)
    if (!stats) return note('external-missing', 'does not exist')
    if (!stats.isFile()) return note('external-special', stats.isDirectory() ? 'is a folder' : 'is a device, pipe or socket')
    if (!areOurs && stats.nlink > 1)
      return note('external-hard-link', 'has another name elsewhere (a hard link): copy it, or sign the model')
    return stats.size
  }
}

function isInside(root: string, path: string): boolean {
  const way = relative(root, path)
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && way !== path
}

/** Reads small text and data files beside a model: bounded, regular, inside the model's directory. */

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { resolve, sep } from 'node:path'
import { ModelmountError } from '../errors.ts'

/** Opening a FIFO would wait for a writer; Windows has no such flag and no such files. */
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)

const invalid = (file: string, what: string, cause?: unknown): ModelmountError =>
  new ModelmountError('CONFIG_INVALID', `${JSON.stringify(file)} ${what}`, { details: { field: file }, cause })

/**
 * @returns `undefined` if there is no such file
 * @throws ModelmountError `CONFIG_INVALID` for anything but a readable file of at most `maxBytes`
 */
export async function readSmallFile(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
  const handle = await open(path, OPEN_FLAGS).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined
    throw invalid(path, `could not be opened (${cause.code})`, cause)
  })
  if (!handle) return undefined
  try {
    const stats = await handle.stat()
    if (!stats.isFile()) throw invalid(path, 'is not a regular file')
    if (stats.size > maxBytes) throw invalid(path, `is larger than ${maxBytes} bytes`)
    return await handle.readFile()
  } finally {
    await handle.close()
  }
}

/** Text in UTF-8; `undefined` if there is no such file. */
export async function readText(path: string, maxBytes: number): Promise<string | undefined> {
  const bytes = await readSmallFile(path, maxBytes)
  if (!bytes) return undefined
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw invalid(path, 'is not text in UTF-8', cause)
  }
}

/**
 * Reads a file that a configuration names.
 * @throws ModelmountError `CONFIG_INVALID` for names that lead out of the directory
 */
export function pathInside(directory: string, name: string, field: string): string {
  const base = resolve(directory)
  const path = resolve(base, name)
  if (path.startsWith(`${base}${sep}`) && !name.includes('\0')) return path
  throw new ModelmountError(
    'CONFIG_INVALID',
    `${field} must name a file inside the model's directory, got ${JSON.stringify(name.slice(0, 200))}`,
    {
      details: { field },
    },
  )
}

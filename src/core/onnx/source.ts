/** The source of a model's bytes: a file read piece by piece, or memory. */

import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { ModelmountError } from '../errors.ts'
import { type Patch, type Piece, piecesOf, splicedSize } from './splice.ts'

export interface Source {
  readonly size: number
  /** At most `length` bytes from `offset`; fewer at the end. Valid until the next call. */
  read(offset: number, length: number): Promise<Uint8Array>
  close(): Promise<void>
}

/** Opening a FIFO would wait for a writer; Windows has no such flag and no such files. */
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)

const MAX_AHEAD_BYTES = 1024 * 1024

/** Meanings of the common reasons; the error number itself goes into `cause`. */
const REASONS = new Map([
  ['ENOENT', 'does not exist'],
  ['ENOTDIR', 'does not exist: a part of its path is not a directory'],
  ['ENAMETOOLONG', 'has a path that is too long'],
  ['EACCES', 'may not be read: permission denied'],
  ['EPERM', 'may not be read: permission denied'],
  ['EMFILE', 'could not be opened: this process has too many open files'],
  ['ENFILE', 'could not be opened: the system has too many open files'],
])

/** These mean that the path is not a file, not that the file is unavailable. */
const NOT_A_FILE = new Map([
  ['ELOOP', 'is a symbolic link that leads in a circle'],
  ['EISDIR', 'is a directory, not a file'],
  ['ENXIO', 'is not a regular file'],
])

/**
 * Opens a regular file.
 * @throws ModelmountError `MODEL_INVALID` unless it is a non-empty file, `MODEL_LOAD_FAILED` if it cannot be opened
 */
export async function fileSource(path: string): Promise<Source> {
  const handle = await open(path, OPEN_FLAGS).catch((cause: unknown) => {
    throw openFailure(path, cause)
  })
  try {
    return { size: await sizeOf(path, handle), read: reads(path, handle), close: () => handle.close() }
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** The bytes themselves. */
export function bytesSource(bytes: Uint8Array): Source {
  return {
    size: bytes.byteLength,
    read: async (offset, length) => {
      // a file read lets the event loop turn; walking a large model in memory must not be worse
      await setImmediate()
      return bytes.subarray(offset, offset + length)
    },
    close: async () => {},
  }
}

/** A source with splices applied; it closes the underlying one. */
export function splicedSource(source: Source, patch: Patch): Source {
  if (patch.length === 0) return source
  const pieces = piecesOf(source.size, patch)
  const size = splicedSize(source.size, patch)
  /** Start of the last read: reads go forward. */
  let first = 0
  return {
    size,
    async read(offset, length) {
      const result = new Uint8Array(Math.max(0, Math.min(length, size - offset)))
      const end = offset + result.length
      if ((pieces[first]?.at ?? 0) > offset) first = 0
      while ((pieces[first + 1]?.at ?? Number.POSITIVE_INFINITY) <= offset) first++
      for (let i = first; i < pieces.length && (pieces[i] as Piece).at < end; i++) {
        const piece = pieces[i] as Piece
        const [from, to] = [Math.max(offset, piece.at), Math.min(end, piece.at + piece.length)]
        if (from >= to) continue
        const inside = from - piece.at
        const bytes =
          typeof piece.from === 'number'
            ? await source.read(piece.from + inside, to - from)
            : piece.from.subarray(inside, inside + to - from)
        result.set(bytes.subarray(0, to - from), from - offset)
        if (bytes.length < to - from) return result.subarray(0, from - offset + bytes.length)
      }
      return result
    },
    close: () => source.close(),
  }
}

async function sizeOf(path: string, handle: FileHandle): Promise<number> {
  const stats = await handle.stat()
  if (stats.isDirectory()) throw sourceError('MODEL_INVALID', path, 'is a directory, not a file')
  if (!stats.isFile()) throw sourceError('MODEL_INVALID', path, 'is not a regular file')
  return stats.size
}

/**
 * Reads ahead, further with each read that is not a long step.
 * Without it, tensors barely larger than one request would cost a system call each.
 */
function reads(path: string, handle: FileHandle): Source['read'] {
  let buffer = new Uint8Array(0)
  let start = 0
  let filled = 0
  let ahead = 0

  async function fill(offset: number, length: number): Promise<void> {
    const isNear = offset >= start && offset - (start + filled) <= length
    ahead = isNear ? Math.min(Math.max(2 * ahead, length), MAX_AHEAD_BYTES) : 0
    const wanted = Math.max(length, ahead)
    if (buffer.length < wanted) buffer = new Uint8Array(wanted)
    start = offset
    filled = 0
    while (filled < wanted) {
      const { bytesRead } = await handle.read(buffer, filled, wanted - filled, offset + filled).catch((cause: unknown) => {
        throw sourceError('MODEL_LOAD_FAILED', path, 'could not be read', cause)
      })
      if (bytesRead === 0) break
      filled += bytesRead
    }
  }

  return async (offset, length) => {
    if (offset >= start && offset + length <= start + filled) await setImmediate()
    else await fill(offset, length)
    return buffer.subarray(offset - start, Math.min(offset - start + length, filled))
  }
}

function openFailure(path: string, cause: unknown): ModelmountError {
  const code = errorCode(cause)
  const notAFile = NOT_A_FILE.get(code)
  if (notAFile !== undefined) return sourceError('MODEL_INVALID', path, notAFile, cause)
  return sourceError('MODEL_LOAD_FAILED', path, REASONS.get(code) ?? 'could not be opened', cause)
}

function errorCode(cause: unknown): string {
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined
  return typeof code === 'string' ? code : ''
}

function sourceError(code: 'MODEL_INVALID' | 'MODEL_LOAD_FAILED', path: string, what: string, cause?: unknown): ModelmountError {
  return new ModelmountError(code, `model file ${JSON.stringify(path)} ${what}`, { details: { field: 'source', path }, cause })
}

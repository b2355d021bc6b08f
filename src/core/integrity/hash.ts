/** SHA-256 of files of any size, with an optional copy on the way. */

import { createHash } from 'node:crypto'
import { type BigIntStats, constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { ModelmountError } from '../errors.ts'

export interface HashJob {
  readonly path: string
  /** A new file, written with mode 0400. @default the bytes are only hashed */
  readonly to?: string
}

export interface Hashed {
  /** 64 hex digits. */
  readonly sha256: string
  readonly size: number
  /** Changes when the file is written to or replaced. */
  readonly identity: string
  /** When the inode last changed, in milliseconds since 1970. */
  readonly changedAtMs: number
}

/** Small enough for a thread with other work: its event loop turns between two pieces. */
const PIECE_BYTES = 256 * 1024

/** A link that appears after the look is refused; a FIFO must not make us wait for a writer. */
const READ_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
const WRITE_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0)

export const identityOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`

/**
 * One after the other, on the calling thread.
 * @throws ModelmountError `MODEL_LOAD_FAILED` if a file cannot be read or written, is no regular file, or changes meanwhile
 */
export async function hashAll(jobs: readonly HashJob[], pieceBytes = PIECE_BYTES): Promise<readonly Hashed[]> {
  const hashed: Hashed[] = []
  for (const job of jobs) hashed.push(await hashOne(job, pieceBytes))
  return hashed
}

async function hashOne({ path, to }: HashJob, pieceBytes: number): Promise<Hashed> {
  const source = await openAs(path, READ_FLAGS)
  try {
    const before = await source.stat({ bigint: true })
    if (!before.isFile()) throw failure(path, 'is not a regular file')
    const target = to === undefined ? undefined : await openAs(to, WRITE_FLAGS, 0o400)
    try {
      const { sha256, size } = await pump(source, target, path, pieceBytes)
      const after = await source.stat({ bigint: true })
      // The hashed bytes are certain; whether they ever were one file is not.
      if (identityOf(before) !== identityOf(after) || BigInt(size) !== after.size)
        throw failure(path, 'changed while it was being hashed')
      return { sha256, size, identity: identityOf(after), changedAtMs: Number(after.ctimeNs / 1_000_000n) }
    } finally {
      await target?.close()
    }
  } finally {
    await source.close()
  }
}

/** Reads the next piece and writes the last one while this one is hashed. */
async function pump(
  source: FileHandle,
  target: FileHandle | undefined,
  path: string,
  pieceBytes: number,
): Promise<{ sha256: string; size: number }> {
  const hash = createHash('sha256')
  let [piece, next] = [Buffer.allocUnsafe(pieceBytes), Buffer.allocUnsafe(pieceBytes)]
  let size = 0
  try {
    let reading = source.read(piece, 0, pieceBytes, 0)
    for (;;) {
      const { bytesRead } = await reading
      if (bytesRead === 0) return { sha256: hash.digest('hex'), size }
      reading = source.read(next, 0, pieceBytes, size + bytesRead)
      // Its failure surfaces when it is awaited; a failed write comes first.
      reading.catch(() => {})
      const bytes = piece.subarray(0, bytesRead)
      const writing = target && writeAll(target, bytes)
      writing?.catch(() => {})
      hash.update(bytes)
      await writing
      size += bytesRead
      ;[piece, next] = [next, piece]
    }
  } catch (cause) {
    throw failure(path, `could not be ${target ? 'copied' : 'read'} (${codeOf(cause)})`, cause)
  }
}

async function writeAll(target: FileHandle, bytes: Uint8Array): Promise<void> {
  let written = 0
  while (written < bytes.length) written += (await target.write(bytes, written, bytes.length - written)).bytesWritten
}

async function openAs(path: string, flags: number, mode?: number): Promise<FileHandle> {
  return open(path, flags, mode).catch((cause: unknown) => {
    const code = codeOf(cause)
    throw failure(path, code === 'ELOOP' ? 'is a symbolic link' : `could not be opened (${code})`, cause)
  })
}

const codeOf = (cause: unknown): string => String((cause as NodeJS.ErrnoException | undefined)?.code ?? 'unknown error')

const failure = (path: string, what: string, cause?: unknown): ModelmountError =>
  new ModelmountError('MODEL_LOAD_FAILED', `file ${JSON.stringify(path)} ${what}`, { details: { path }, cause })

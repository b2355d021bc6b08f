/**
 * SHA-256 of files of any size, and copies that are hashed on their way. Large ones are done in a thread of their own, because hashing a
 * gigabyte keeps a thread busy for more than half a second.
 */

import { createHash } from 'node:crypto'
import { type BigIntStats, constants } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
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
  /** Changes when somebody writes to the file, or puts another in its place. */
  readonly identity: string
  /** When the inode last changed, in milliseconds since 1970. */
  readonly changedAtMs: number
}

/** What a thread answers with; errors lose their class on the way. */
export type HashAnswer =
  | { readonly hashed: readonly Hashed[] }
  | { readonly failure: { code: 'MODEL_LOAD_FAILED'; message: string } }

const CHUNK_BYTES = 256 * 1024
/** From here on a thread is worth its start of some 20 ms. */
const THREAD_BYTES = 16 * 1024 * 1024

/** A link that appears after the look is refused; a FIFO must not make us wait for a writer. */
const READ_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
const WRITE_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0)

export const identityOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`

/**
 * @throws ModelmountError `MODEL_LOAD_FAILED` when a file cannot be read or written, is no regular file, or changes meanwhile
 */
export async function hashFiles(jobs: readonly HashJob[]): Promise<readonly Hashed[]> {
  let bytes = 0
  for (const { path } of jobs) bytes += (await stat(path).catch(() => undefined))?.size ?? 0
  return bytes < THREAD_BYTES ? hashAll(jobs) : inThread(jobs)
}

/** One after the other, on the calling thread. */
export async function hashAll(jobs: readonly HashJob[]): Promise<readonly Hashed[]> {
  const hashed: Hashed[] = []
  for (const job of jobs) hashed.push(await hashOne(job))
  return hashed
}

function inThread(jobs: readonly HashJob[]): Promise<readonly Hashed[]> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(fileURLToPath(new URL('./hash-worker.cjs', import.meta.url)), {
      name: 'modelmount-hash',
      workerData: jobs,
      execArgv: [],
    })
    worker.once('message', (answer: HashAnswer) => {
      if ('hashed' in answer) resolve(answer.hashed)
      else reject(new ModelmountError(answer.failure.code, answer.failure.message))
    })
    const ended = (cause: unknown): void =>
      reject(new ModelmountError('MODEL_LOAD_FAILED', 'the thread that hashes model files ended', { cause }))
    worker.once('error', ended)
    worker.once('exit', ended)
  })
}

async function hashOne({ path, to }: HashJob): Promise<Hashed> {
  const source = await openAs(path, READ_FLAGS)
  try {
    const before = await source.stat({ bigint: true })
    if (!before.isFile()) throw failure(path, 'is not a regular file')
    const target = to === undefined ? undefined : await openAs(to, WRITE_FLAGS, 0o400)
    try {
      const { sha256, size } = await pump(source, target, path)
      const after = await source.stat({ bigint: true })
      // Which bytes were hashed is certain; whether they ever were one file is not.
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
async function pump(source: FileHandle, target: FileHandle | undefined, path: string): Promise<{ sha256: string; size: number }> {
  const hash = createHash('sha256')
  let [piece, next] = [Buffer.allocUnsafe(CHUNK_BYTES), Buffer.allocUnsafe(CHUNK_BYTES)]
  let size = 0
  try {
    let reading = source.read(piece, 0, CHUNK_BYTES, 0)
    for (;;) {
      const { bytesRead } = await reading
      if (bytesRead === 0) return { sha256: hash.digest('hex'), size }
      reading = source.read(next, 0, CHUNK_BYTES, size + bytesRead)
      // Its failure is heard of when it is awaited; a failed write comes first.
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

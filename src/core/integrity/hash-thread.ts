/**
 * Threads for hashing, because a gigabyte keeps one busy for more than half a second. Each is kept for a moment after its work:
 * a model has several files, and several models load one after the other.
 */

import { stat } from 'node:fs/promises'
import type { Worker } from 'node:worker_threads'
import { ModelmountError } from '../errors.ts'
import { scriptPath, startThread } from '../host/scripts.ts'
import { type Collected, collect } from './collect.ts'
import { type Hashed, type HashJob, hashAll } from './hash.ts'

/** `hashed` answers a list of files, `taken` each piece of a stream, `collected` its end. */
export type HashAsk =
  | { readonly kind: 'files'; readonly jobs: readonly HashJob[] }
  | { readonly kind: 'begin'; readonly maxBytes: number }
  | { readonly kind: 'piece'; readonly piece: Uint8Array }
  | { readonly kind: 'end' }

/** Answers of a thread; errors lose their class on the way. */
export type HashAnswer =
  | { readonly kind: 'hashed'; readonly hashed: readonly Hashed[] }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'taken'; readonly bytes: number }
  | ({ readonly kind: 'collected' } & Collected)

/** Joins the pieces of a stream in memory, and hashes them. */
export interface Collector {
  /** @param piece is given away. @returns a promise of room for more, if there is none now */
  add(piece: Uint8Array<ArrayBuffer>): Promise<void> | undefined
  end(): Promise<Collected>
}

interface Thread {
  post(ask: HashAsk, transfer?: ArrayBuffer[]): void
  /** The next one. */
  answer(): Promise<HashAnswer>
}

/** From this size on a thread is worth its start of some 20 ms. */
const THREAD_BYTES = 16 * 1024 * 1024
const KEEP_MS = 5000
/** Of a stream that is produced faster than it is hashed. */
const MAX_WAITING_BYTES = 8 * 1024 * 1024

interface Kept {
  readonly thread: Thread
  readonly worker: Worker
  timer?: NodeJS.Timeout
}
const kept: Kept[] = []

/**
 * Hashes files, and copies those with a target.
 * @param threadBytes total size from which a thread does it
 * @throws ModelmountError `MODEL_LOAD_FAILED` if a file cannot be read or written, is no regular file, or changes meanwhile
 */
export async function hashFiles(jobs: readonly HashJob[], threadBytes = THREAD_BYTES): Promise<readonly Hashed[]> {
  let bytes = 0
  for (const { path } of jobs) bytes += (await stat(path).catch(() => undefined))?.size ?? 0
  if (bytes < threadBytes) return hashAll(jobs)
  return withThread(async (thread) => {
    thread.post({ kind: 'files', jobs })
    const answer = await thread.answer()
    if (answer.kind === 'hashed') return answer.hashed
    throw new ModelmountError('MODEL_LOAD_FAILED', answer.kind === 'failed' ? answer.message : 'hashing failed')
  })
}

/**
 * Collects a stream, a large one in a thread, beside its producer.
 * @param maxBytes its largest size
 */
export function withCollector<T>(maxBytes: number, work: (collector: Collector) => Promise<T>): Promise<T> {
  if (maxBytes >= THREAD_BYTES) return withThread((thread) => work(collectIn(thread, maxBytes)))
  const here = collect(maxBytes)
  return work({
    add: (piece) => here.add(piece),
    end: async () => here.end(),
  })
}

function collectIn(thread: Thread, maxBytes: number): Collector {
  let waiting = 0
  async function makeRoom(): Promise<void> {
    while (waiting > MAX_WAITING_BYTES) waiting -= await taken(thread)
  }
  thread.post({ kind: 'begin', maxBytes })
  return {
    add(given) {
      // Shared memory cannot be given away.
      const piece = given.byteLength === given.buffer.byteLength ? given : given.slice()
      const { byteLength } = piece
      waiting += byteLength
      thread.post({ kind: 'piece', piece }, [piece.buffer])
      return waiting > MAX_WAITING_BYTES ? makeRoom() : undefined
    },
    async end() {
      thread.post({ kind: 'end' })
      for (;;) {
        const answer = await thread.answer()
        if (answer.kind === 'collected') return { bytes: answer.bytes, sha256: answer.sha256 }
        if (answer.kind === 'failed') throw new ModelmountError('MODEL_LOAD_FAILED', answer.message)
      }
    },
  }
}

async function taken(thread: Thread): Promise<number> {
  const answer = await thread.answer()
  if (answer.kind === 'failed') throw new ModelmountError('MODEL_LOAD_FAILED', answer.message)
  return answer.kind === 'taken' ? answer.bytes : 0
}

/** A thread has one user at a time. It is not used again after a failure: further messages may follow. */
async function withThread<T>(use: (thread: Thread) => Promise<T>): Promise<T> {
  const mine = kept.pop() ?? startHashing()
  clearTimeout(mine.timer)
  mine.worker.ref()
  try {
    const result = await use(mine.thread)
    keep(mine)
    return result
  } catch (error) {
    void mine.worker.terminate()
    throw error
  }
}

function keep(mine: Kept): void {
  mine.worker.unref()
  mine.timer = setTimeout(() => void mine.worker.terminate(), KEEP_MS).unref()
  kept.push(mine)
}

function startHashing(): Kept {
  const worker = startThread(scriptPath('hash-worker'), { name: 'modelmount-hash' })
  const answers: HashAnswer[] = []
  let ended: ModelmountError | undefined
  let wake = (): void => {}
  const end = (cause: unknown): void => {
    ended ??= new ModelmountError('MODEL_LOAD_FAILED', 'the thread that hashes model files ended', { cause })
    const at = kept.indexOf(mine)
    if (at >= 0) kept.splice(at, 1)
    wake()
  }
  worker.on('message', (answer: HashAnswer) => {
    answers.push(answer)
    wake()
  })
  worker.on('error', end)
  worker.on('exit', end)
  const mine: Kept = {
    worker,
    thread: {
      post: (ask, transfer = []) => worker.postMessage(ask, transfer),
      async answer() {
        for (;;) {
          const next = answers.shift()
          if (next) return next
          if (ended) throw ended
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      },
    },
  }
  return mine
}

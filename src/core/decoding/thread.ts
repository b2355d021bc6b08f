/** The decoding thread of a server, seen from the host: started on first use, one job after the other, restarted after it has died. */

import { fileURLToPath } from 'node:url'
import type { Worker } from 'node:worker_threads'
import { ModelmountError } from '../errors.ts'
import { type AbortSignalLike, onAbort } from '../host/abort.ts'
import { type Clock, systemClock } from '../host/clock.ts'
import { scriptPath, startThread } from '../host/scripts.ts'
import type { ModelSignature } from '../tensor/types.ts'
import type { Body } from './body.ts'
import type { JobOptions } from './jobs.ts'
import type { Answer } from './messages.ts'
import type { Parcel } from './parcel.ts'
import { shipmentOf } from './shipment.ts'

/** Most waiting bodies; the bytes of all are bounded elsewhere. */
export const MOST_WAITING = 64

/** Limit of the thread's heap. A permitted body takes a fraction; beyond it the thread ends, and not the host. */
const HEAP_MB = 512

export interface Job {
  /** The name of a decoder. */
  readonly kind: string
  readonly body: Body
  readonly signature: ModelSignature
  readonly opts: JobOptions
  readonly signal: AbortSignalLike | undefined
  /** On the clock: deadline for reading the request. @default never */
  readonly deadline?: number | undefined
}

export interface DecodingThread {
  /**
   * @throws ModelmountError of the decoder; `QUEUE_FULL`, `ABORTED`, `DEADLINE_EXCEEDED`, `SERVER_CLOSED`; `BODY_TOO_LARGE` for a body that
   *   takes more memory than the thread has; `WORKER_LOST` if the thread died for another reason
   */
  decode(job: Job): Promise<Parcel>
  /** Running or waiting jobs whose callers still want them. */
  readonly pending: number
  close(): Promise<void>
}

interface Entry extends Job {
  settled: boolean
  resolve(parcel: Parcel): void
  reject(error: unknown): void
}

interface Alive {
  readonly worker: Worker
  /** Why it died. */
  cause: unknown
}

export interface ThreadOptions {
  /** @default 512 */
  readonly heapMb?: number
  /** The script of the thread. @default the package's */
  readonly script?: URL
  /** The clock of deadlines. @default the system's */
  readonly clock?: Clock
}

export function createDecodingThread({ heapMb = HEAP_MB, script, clock = systemClock }: ThreadOptions = {}): DecodingThread {
  const waiting: Entry[] = []
  let current: Entry | undefined
  let alive: Alive | undefined
  let closed = false

  function decode(job: Job): Promise<Parcel> {
    if (closed) return Promise.reject(serverClosed())
    if (job.signal?.aborted) return Promise.reject(clientGone())
    const { signal, deadline } = job
    const leftMs = deadline === undefined ? undefined : deadline - clock.now()
    if (leftMs !== undefined && leftMs <= 0) return Promise.reject(tooLate())
    if (waiting.length >= MOST_WAITING) return Promise.reject(full())
    return new Promise((resolve, reject) => {
      const stopListening = signal ? onAbort(signal, () => giveUp(entry, clientGone())) : () => {}
      const timer = leftMs === undefined ? undefined : clock.after(Math.ceil(leftMs), () => giveUp(entry, tooLate()))
      const settle =
        <T>(outcome: (value: T) => void) =>
        (value: T): void => {
          if (entry.settled) return
          entry.settled = true
          stopListening()
          timer?.cancel()
          outcome(value)
        }
      const entry: Entry = { ...job, settled: false, resolve: settle(resolve), reject: settle(reject) }
      waiting.push(entry)
      next()
    })
  }

  /** A place is free at once; the thread itself only when it has finished. */
  function giveUp(entry: Entry, reason: ModelmountError): void {
    const at = waiting.indexOf(entry)
    if (at >= 0) waiting.splice(at, 1)
    entry.reject(reason)
  }

  function next(): void {
    if (current || closed) return
    current = waiting.shift()
    if (current) void send(current)
    else alive?.worker.unref()
  }

  async function send(entry: Entry): Promise<void> {
    try {
      alive ??= start()
    } catch (error) {
      entry.reject(error)
      return done(entry)
    }
    const { worker } = alive
    worker.ref()
    const { pieces, transfer } = await shipmentOf(entry.body, () => !entry.settled)
    if (entry.settled) return done(entry)
    // It may have died meanwhile, and its end was then reported.
    if (current !== entry) return
    const { kind, signature, opts } = entry
    worker.postMessage({ kind, pieces, signature, opts }, transfer)
  }

  function done(entry: Entry): void {
    if (current !== entry) return
    current = undefined
    next()
  }

  function start(): Alive {
    const worker = startThread(script ? fileURLToPath(script) : scriptPath('decode-worker'), {
      name: 'modelmount-decode',
      resourceLimits: { maxOldGenerationSizeMb: heapMb },
    })
    const started: Alive = { worker, cause: undefined }
    worker.on('message', (answer: Answer) => {
      const entry = current
      if (!entry) return
      if (answer.kind === 'decoded') entry.resolve(answer.parcel)
      else entry.reject(errorOf(answer))
      done(entry)
    })
    worker.on('error', (cause) => {
      started.cause = cause
    })
    worker.on('exit', () => {
      if (alive !== started) return
      alive = undefined
      const entry = current
      if (!entry) return
      entry.reject(lost(started.cause))
      done(entry)
    })
    return started
  }

  return {
    decode,
    get pending() {
      return waiting.length + Number(current !== undefined && !current.settled)
    },
    async close() {
      closed = true
      for (const entry of [...waiting.splice(0), ...(current ? [current] : [])]) entry.reject(serverClosed())
      current = undefined
      const worker = alive?.worker
      alive = undefined
      await worker?.terminate()
    },
  }
}

function errorOf(answer: Exclude<Answer, { readonly kind: 'decoded' }>): ModelmountError {
  if (answer.kind === 'refused') return new ModelmountError(answer.code, answer.message, { details: answer.details })
  return new ModelmountError('INTERNAL', 'internal error', { cause: new Error(answer.reason) })
}

const clientGone = (): ModelmountError => new ModelmountError('ABORTED', 'the client went away')
const tooLate = (): ModelmountError =>
  new ModelmountError('DEADLINE_EXCEEDED', 'the deadline passed before the request body was read')
const serverClosed = (): ModelmountError => new ModelmountError('SERVER_CLOSED', 'the model server is closed', { retryAfterS: 1 })
const full = (): ModelmountError =>
  new ModelmountError('QUEUE_FULL', `${MOST_WAITING} large request bodies wait to be read`, { retryAfterS: 1 })

function lost(cause: unknown): ModelmountError {
  if ((cause as { readonly code?: unknown } | undefined)?.code === 'ERR_WORKER_OUT_OF_MEMORY') {
    const message = 'the request body takes more memory to read than the server allows; send its tensors as binary data'
    return new ModelmountError('BODY_TOO_LARGE', message, { details: { field: 'body' } })
  }
  return new ModelmountError('WORKER_LOST', 'the thread that reads large request bodies ended', { cause, retryAfterS: 1 })
}

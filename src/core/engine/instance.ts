/** One copy of a model in one worker: load handshake, runs, drain, close. It knows nothing of queues. */

import { ModelmountError } from '../errors.ts'
import type { Clock } from '../host/clock.ts'
import { hostProblem } from '../host/problems.ts'
import type { Patch } from '../onnx/splice.ts'
import type { OwnedBufferPool } from './buffer-pool.ts'
import type { Channel, OpenChannel } from './channel.ts'
import type { ExternalData, FromWorker, Loaded, ToWorker } from './messages.ts'
import type { WorkerSettings } from './options.ts'
import { loadError } from './ort-errors.ts'
import { createPosts, type Done, type RowsDone } from './posts.ts'
import type { Run } from './run.ts'
import type { TierName } from './types.ts'
import { FORMAT, isPacket } from './wire/format.ts'
import { type SessionNames, sessionNames } from './wire/names.ts'
import type { OpenMessage } from './wire/open.ts'

export interface LoadRequest {
  readonly source: string | Uint8Array
  /** Replacements of its bytes before the load. */
  readonly patch: Patch
  /** External data that is not on disk, by the model's name for it. */
  readonly data: readonly ExternalData[]
  readonly settings: WorkerSettings
  readonly timeoutMs: number
}

export interface Instance {
  /** Counts up over the life of a pool. */
  readonly id: number
  /** Where its runs happen. */
  readonly tier: TierName
  /** Resolves with the session's own description; rejects if it cannot be loaded. */
  readonly loaded: Promise<Loaded>
  /** Number of posted and unanswered bursts. */
  readonly bursts: number
  /** Posted and unanswered runs. */
  readonly outstanding: number
  /** True between a successful load and its loss or close. */
  readonly ready: boolean
  /** True once another one should take its place, because it would run in a better one. */
  readonly stale?: boolean | undefined
  /** Private memory of its worker; `undefined` if it cannot be told from the host's. */
  readonly memoryBytes: number | undefined
  /** Posts runs, which the worker executes one after the other. */
  run(runs: readonly Run[], done: Done): void
  /** The names of its session in messages; not before it is loaded. */
  readonly names: SessionNames
  /** Posts an open message (`wire/open.ts`), whose rows are one run. */
  send(message: OpenMessage, rows: number, done: RowsDone): void
  /** Ends a hung worker, if the tier can; otherwise `false`. */
  kill(reason: string): boolean
  /** Waits for running work, releases the model, ends the worker. */
  close(): Promise<void>
}

interface Deps {
  readonly id: number
  readonly open: OpenChannel
  readonly clock: Clock
  /** Source of memory for large inputs; useful only if messages are transferred. */
  readonly buffers?: OwnedBufferPool | undefined
  /**
   * The worker went away by itself or was killed; not called after `close()` or a failed load.
   * @param isInnocent the session of another model was at work
   */
  onLost(reason: string, isInnocent: boolean): void
  onLine(line: string): void
}

type Of<K extends FromWorker['kind']> = Extract<FromWorker, { readonly kind: K }>
type Handlers = { readonly [K in FromWorker['kind']]: (message: Of<K>) => void }

export function createInstance(request: LoadRequest, deps: Deps): Instance {
  let state: 'loading' | 'ready' | 'closing' | 'gone' = 'loading'
  let idle: (() => void) | undefined
  let released: (() => void) | undefined
  let settleLoad: { resolve(loaded: Loaded): void; reject(error: ModelmountError): void }

  const loaded = new Promise<Loaded>((resolve, reject) => {
    settleLoad = { resolve, reject }
  })
  // A caller that closes before looking at the load must not meet an unhandled rejection.
  loaded.catch(() => {})

  const ignore = (): void => {}
  const on: Handlers = {
    loaded: onLoaded,
    'load-failed': onLoadFailed,
    released: () => released?.(),
    // Answers to jobs that no instance is given.
    tried: ignore,
    digested: ignore,
    derived: ignore,
  }
  const channel: Channel = deps.open({
    onMessage: (message) =>
      isPacket(message) ? posts.answer(message) : (on[message.kind] as (message: FromWorker) => void)(message),
    onExit,
    onLine: deps.onLine,
  })
  const posts = createPosts({ post: channel.post, buffers: deps.buffers, onIdle: () => idle?.() })
  const loadTimer = deps.clock.after(request.timeoutMs, onLoadTimeout)
  channel.post(loadMessage(request), [])

  function failLoad(error: ModelmountError): void {
    loadTimer.cancel()
    state = 'gone'
    settleLoad.reject(error)
  }

  function onLoadTimeout(): void {
    if (state !== 'loading') return
    failLoad(new ModelmountError('MODEL_LOAD_FAILED', `loading took longer than loadTimeoutMs (${request.timeoutMs} ms)`))
    // A thread inside a native load cannot be ended; it is closed when the load returns, if it ever does.
    channel.kill?.('loading took too long')
  }

  function onLoadFailed({ message }: Of<'load-failed'>): void {
    if (state === 'loading') failLoad(loadError(message))
    void channel.close()
  }

  function onLoaded(message: Loaded): void {
    // It came after the time-out, when no caller waits any more.
    if (state !== 'loading') {
      void channel.close()
      return
    }
    if (message.format !== FORMAT) {
      failLoad(new ModelmountError('MODEL_LOAD_FAILED', 'the worker is of another version of modelmount: restart the process'))
      void channel.close()
      return
    }
    loadTimer.cancel()
    posts.describe(sessionNames(message))
    state = 'ready'
    settleLoad.resolve(message)
  }

  function onExit(reason: string, isInnocent = false): void {
    const was = state
    if (was === 'loading')
      failLoad(hostProblem(reason) ?? new ModelmountError('MODEL_LOAD_FAILED', `the worker ended while loading: ${reason}`))
    state = 'gone'
    const lose = posts.end()
    released?.()
    // First, so that code which puts lost runs back finds this instance out of service.
    if (was === 'ready') deps.onLost(reason, isInnocent)
    lose()
    idle?.()
  }

  return {
    id: deps.id,
    get tier() {
      return channel.kill ? 'process' : channel.isShared?.() ? 'shared' : 'worker'
    },
    loaded,
    get bursts() {
      return posts.messages
    },
    get outstanding() {
      return posts.runs
    },
    get ready() {
      return state === 'ready'
    },
    get stale() {
      return channel.isStale?.()
    },
    get memoryBytes() {
      return channel.memoryBytes?.()
    },
    get names() {
      return posts.names
    },
    run: posts.run,
    send: posts.send,
    kill(reason) {
      channel.kill?.(reason)
      return channel.kill !== undefined
    },
    async close() {
      if (state === 'loading') await loaded.catch(() => {})
      if (state !== 'ready') return
      state = 'closing'
      if (posts.messages > 0) {
        await new Promise<void>((resolve) => {
          idle = resolve
        })
      }
      if ((state as string) === 'gone') return
      await new Promise<void>((resolve) => {
        released = resolve
        channel.post({ kind: 'release' }, [])
      })
      await channel.close()
    },
  }
}

function loadMessage(request: LoadRequest): ToWorker {
  const { source, patch, data, settings } = request
  return { kind: 'load', source, patch, data, settings }
}

/**
 * The only file that loads onnxruntime-node. Runs in a worker thread or a child process; loading and running block here and nowhere else.
 */

import { rmdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isMainThread, type MessagePort, parentPort, receiveMessageOnPort, Worker, workerData } from 'node:worker_threads'
import type * as Ort from 'onnxruntime-node'
import type { DType, Tensor } from '../tensor/types.ts'
import { tryOut } from '../trial/try.ts'
import { derive, type OpenSession } from './derived/derive.ts'
import { digestFiles } from './derived/digest.ts'
import { pack, type TensorRecord, unpack } from './frame.ts'
import { createInbox } from './inbox.ts'
import { type FromWorker, PENDING, type ProviderFallback, SEATED, type SessionValue, STOP, type ToWorker } from './messages.ts'
import { HRTIME_AHEAD_MS } from './monotonic.ts'
import { runError } from './ort-errors.ts'
import { folderOf, type Patched, readPatched } from './patched.ts'
import { lowerPriority } from './priority.ts'
import type { Run, RunOutcome } from './run.ts'
import type { OrtSessionOptions, ProviderRequest } from './session-options.ts'
import { createTurns, type Meters, noteJob } from './turns.ts'
import { FORMAT, isPacket, type Packet, withoutRoom } from './wire/format.ts'
import { NO_SESSION, type SessionNames, sessionNames } from './wire/names.ts'
import { type Part, read } from './wire/read.ts'
import { type Answered, packAnswers } from './wire/runs.ts'

/**
 * If the runtime has Float16Array, onnxruntime-common makes float16 tensors of it, and the native binding of 1.30 then sees no bytes at all
 * ("not enough space: expected 16, got 0"). A worker has its own globals, so removing the class here is harmless: ONNX Runtime falls back
 * to raw bits in a Uint16Array, modelmount's format on every Node version.
 */
delete (globalThis as { Float16Array?: unknown }).Float16Array
// Required, not imported: imports are hoisted above the line before.
const ort = createRequire(__filename)('onnxruntime-node') as typeof Ort

// Session options silence a session; messages from the look-up of providers obey the environment of all sessions.
ort.env.logLevel = 'fatal'

interface Port {
  post(message: FromWorker | Packet, transfer: ArrayBuffer[]): void
  listen(handle: (message: ToWorker | Packet) => void): void
  /** The next message, without a turn of the event loop. */
  take?(): ToWorker | Packet | undefined
}

interface Shared {
  readonly flags?: Int32Array
  /** Of a thread with several sessions. */
  readonly meters?: Meters
}

const { flags, meters }: Shared = isMainThread ? {} : workerData

const stopped = (): boolean => flags !== undefined && Atomics.load(flags, STOP) === 1

/** Signals a host that waits in its exit handler that no native call is running any more. */
function settlePending(all = false): void {
  if (!flags) return
  if (all) Atomics.store(flags, PENDING, 0)
  else Atomics.sub(flags, PENDING, 1)
  Atomics.notify(flags, PENDING)
}

/**
 * `session.run()` postpones its synchronous native call with setImmediate. Calling it at once saves 3 to 4 us of a 10 us run.
 * If a release stops using setImmediate this is slower, never wrong. Only ever done in this worker.
 */
function runNow(
  session: Ort.InferenceSession,
  feeds: Record<string, Ort.Tensor>,
  fetches: readonly string[],
): Promise<Ort.InferenceSession.OnnxValueMapType> {
  const original = globalThis.setImmediate
  const immediate = (fn: () => void): undefined => {
    fn()
  }
  globalThis.setImmediate = immediate as unknown as typeof setImmediate
  try {
    return session.run(feeds, fetches as string[])
  } finally {
    globalThis.setImmediate = original
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

function describe(values: readonly Ort.InferenceSession.ValueMetadata[]): SessionValue[] {
  return values.map((value) =>
    value.isTensor
      ? {
          name: value.name,
          isTensor: true,
          type: value.type,
          dims: value.shape.map((dim) => (dim === '' ? null : dim)),
        }
      : { name: value.name, isTensor: false, type: undefined, dims: [] },
  )
}

async function createSession(message: Extract<ToWorker, { kind: 'load' }>) {
  const fallbacks: ProviderFallback[] = []
  for (const provider of message.settings.providers) {
    try {
      const externalData = message.data.map(({ path, bytes }) => ({ path, data: bytes }))
      const options: Ort.InferenceSession.SessionOptions = {
        ...withFolder(message.settings.session, message),
        executionProviders: [asOrtProvider(provider)],
        ...(externalData.length > 0 ? { externalData } : {}),
      }
      const session = await open(readPatched(message.source, message.patch), options)
      return { session, provider: provider.name, fallbacks }
    } catch (error) {
      fallbacks.push({ provider: provider.name, reason: messageOf(error) })
      if (message.settings.strictProviders) break
    }
  }
  return { session: undefined, provider: undefined, fallbacks }
}

/** Each overload accepts one kind of source. */
const open = (source: string | Uint8Array, options: Ort.InferenceSession.SessionOptions): Promise<Ort.InferenceSession> =>
  typeof source === 'string' ? ort.InferenceSession.create(source, options) : ort.InferenceSession.create(source, options)

/** Bytes have no folder in which ONNX Runtime would find the files beside them. */
function withFolder<S extends OrtSessionOptions>(session: S, model: Patched): S {
  const folder = folderOf(model)
  return folder === undefined ? session : { ...session, extra: { ...session.extra, [FOLDER]: folder } }
}
const FOLDER = 'session.model_external_initializers_file_folder_path'

function asOrtProvider(provider: ProviderRequest): Ort.InferenceSession.ExecutionProviderConfig {
  return provider.deviceId === undefined
    ? provider.name
    : ({ name: provider.name, deviceId: provider.deviceId } as Ort.InferenceSession.ExecutionProviderConfig)
}

const toOrt = (tensor: Tensor): Ort.Tensor => new ort.Tensor(tensor.type as 'float32', tensor.data as Float32Array, tensor.dims)

const fromOrt = (value: Ort.Tensor): Tensor => ({ type: value.type as DType, dims: value.dims, data: value.data }) as Tensor

function feedsOfPart({ names, tensors }: Part): Record<string, Ort.Tensor> {
  const feeds: Record<string, Ort.Tensor> = Object.create(null)
  for (let i = 0; i < names.length; i++) feeds[names[i] as string] = toOrt(tensors[i] as Tensor)
  return feeds
}

function feedsOf(inputs: TensorRecord): Record<string, Ort.Tensor> {
  const feeds: Record<string, Ort.Tensor> = Object.create(null)
  for (const name of Object.keys(inputs)) feeds[name] = toOrt(inputs[name] as Tensor)
  return feeds
}

const openTrial: OpenSession = async (model, options) => {
  const session = await open(readPatched(model.source, model.patch), {
    ...withFolder(options, model),
    executionProviders: ['cpu'],
  })
  return {
    async run(inputs, fetches) {
      const values = await session.run(feedsOf(inputs), fetches)
      const outputs: Record<string, Tensor> = Object.create(null)
      for (const name of fetches) outputs[name] = fromOrt(values[name] as Ort.Tensor)
      return outputs
    },
    release: () => session.release(),
  }
}

const turns = createTurns()

/** @param seat in a thread with several sessions: its number */
function serve(port: Port, seat?: number): { end(): void } {
  const line = turns.line()
  let session: Ort.InferenceSession | undefined
  let names: SessionNames = NO_SESSION
  let prefetch = false

  async function load(message: Extract<ToWorker, { kind: 'load' }>): Promise<void> {
    const start = performance.now()
    // Before the session: its threads inherit it.
    const warning = lowerPriority(message.settings.niceness)
    const created = await createSession(message)
    if (!created.session) {
      const last = created.fallbacks.at(-1)
      port.post({ kind: 'load-failed', message: last?.reason ?? 'no execution provider', fallbacks: created.fallbacks }, [])
      return
    }
    session = created.session
    const inputs = describe(session.inputMetadata)
    const outputs = describe(session.outputMetadata)
    names = sessionNames({ inputs, outputs })
    prefetch = message.settings.prefetch
    port.post(
      {
        kind: 'loaded',
        format: FORMAT,
        inputs,
        outputs,
        provider: created.provider,
        fallbacks: created.fallbacks,
        loadMs: performance.now() - start,
        warnings: warning ? [warning] : [],
      },
      [],
    )
  }

  async function run(packet: Packet): Promise<void> {
    const runs = read(packet)
    const { id, session: number, back, memory } = runs
    const answers: Answered[] = []
    const beganMs = performance.now() + HRTIME_AHEAD_MS
    for (let i = 0; i < runs.count; i++) answers.push(await answerTo(runs.next(names.inputs, names.outputs)))
    const { packet: answer, transfer } = packAnswers(answers, { session: number, id, names, beganMs, back, memory })
    port.post(answer, transfer)
  }

  async function answerTo(part: Part): Promise<Answered> {
    const start = performance.now()
    try {
      if (stopped() || !session) throw new Error('the worker is stopping')
      const values = await runNow(session, feedsOfPart(part), part.wanted)
      const tensors: Tensor[] = []
      for (const name of part.wanted) tensors.push(fromOrt(values[name] as Ort.Tensor))
      return { inferMs: performance.now() - start, error: '', names: part.wanted, tensors }
    } catch (error) {
      return { inferMs: performance.now() - start, error: messageOf(error) || 'unknown error', names: [], tensors: [] }
    }
  }

  /** A run of a trial, on its inputs as they are. */
  async function runOnce({ inputs, fetches }: Run): Promise<RunOutcome> {
    const start = performance.now()
    try {
      if (stopped() || !session) throw new Error('the worker is stopping')
      const values = await runNow(session, feedsOf(inputs), fetches)
      const outputs: Record<string, Tensor> = Object.create(null)
      for (const name of fetches) outputs[name] = fromOrt(values[name] as Ort.Tensor)
      return { outputs, inferMs: performance.now() - start }
    } catch (error) {
      return { error: runError(messageOf(error)), inferMs: performance.now() - start }
    }
  }

  async function tryIt({ plan, given, rowsOnly }: Extract<ToWorker, { kind: 'try' }>): Promise<void> {
    const fetches = plan.signature.outputs.map(({ name }) => name)
    const runAll = async (runs: readonly Run[]): Promise<RunOutcome[]> => {
      const outcomes: RunOutcome[] = []
      for (const run of runs) outcomes.push(await runOnce(run))
      return outcomes
    }
    const { rows, ...found } = await tryOut({ ...plan, given: unpack(given, { share: true }) }, { fetches, runAll }, { rowsOnly })
    const { frame, transfer } = pack(rows)
    port.post({ kind: 'tried', rows: frame, found }, transfer)
  }

  async function deriveFrom(message: Extract<ToWorker, { kind: 'derive' }>): Promise<void> {
    try {
      const { answer, transfer } = await derive(message, openTrial)
      port.post(answer, transfer)
    } catch (error) {
      port.post({ kind: 'load-failed', message: messageOf(error), fallbacks: [] }, [])
    }
  }

  async function release(): Promise<void> {
    await session?.release()
    session = undefined
  }

  /** Notes the job. One that never ends, or ends the thread, stays noted as the current one. */
  async function noted(seat: number, message: ToWorker | Packet): Promise<void> {
    if (!flags || !meters) return
    Atomics.store(flags, SEATED, seat + 1)
    const start = performance.now()
    await handle(message)
    noteJob(meters, seat, isPacket(message) ? performance.now() - start : undefined)
    Atomics.store(flags, SEATED, 0)
  }

  async function handle(message: ToWorker | Packet): Promise<void> {
    if (isPacket(message)) return run(message).finally(() => settlePending())
    if (message.kind === 'release') {
      await release()
      port.post({ kind: 'released' }, [])
      return
    }
    try {
      if (message.kind === 'load' && !stopped()) await load(message)
      else if (message.kind === 'digest') port.post({ kind: 'digested', digests: digestFiles(message.files) }, [])
      else if (message.kind === 'derive') await deriveFrom(message)
      else if (message.kind === 'try') await tryIt(message)
    } finally {
      settlePending()
    }
  }

  // One message at a time, even on a release of ONNX Runtime whose run() really yields.
  const inbox = createInbox({ handle, take: () => (prefetch ? port.take?.() : undefined) })
  port.listen(seat === undefined ? inbox.add : (message) => line.add(() => noted(seat, message)))

  return {
    end() {
      line.add(release)
      line.add(async () => line.leave())
    },
  }
}

function takeSeat(port: MessagePort, number: number): void {
  const { end } = serve(
    {
      post: (message, transfer) => port.postMessage(message, transfer),
      listen: (handle) => port.on('message', handle),
    },
    number,
  )
  port.on('close', end)
}

/**
 * In a thread of its own, because only that continues while a native call never returns. It removes the folder that this child works in.
 * The folder stays empty and leaves nothing behind however the host ends. A thread cannot start in a removed folder, and none starts later.
 * It also ends this child when its parent is gone.
 */
const WATCHDOG = `
const { workerData: { folder, parent } } = require('node:worker_threads')
try { require('node:fs').rmdirSync(folder) } catch {}
setInterval(() => { if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL') }, 1000)`

function removeFolder(folder: string | undefined): void {
  try {
    if (folder !== undefined) rmdirSync(folder)
  } catch {
    // Gone already.
  }
}

/** @param folder the empty working folder of this child */
function followParent(folder: string | undefined): void {
  const watchdog = new Worker(WATCHDOG, {
    eval: true,
    env: {},
    execArgv: [],
    workerData: { folder, parent: process.ppid },
    resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 2 },
  })
  watchdog.unref()
}

if (parentPort) {
  const port = parentPort
  process.on('exit', () => settlePending(true))
  serve({
    post: (message, transfer) => port.postMessage(message, transfer),
    listen: (handle) =>
      port.on('message', (message: ToWorker | Packet) => {
        if (!isPacket(message) && message.kind === 'seat') takeSeat(message.port, message.number)
        else handle(message)
      }),
    take: () => receiveMessageOnPort(port)?.message,
  })
} else {
  // The kernel should kill this child before the host.
  try {
    writeFileSync('/proc/self/oom_score_adj', '1000')
  } catch {
    // Not Linux, or not allowed: the memory cap still works.
  }
  const folder = process.argv[2]
  process.on('disconnect', () => {
    // The watchdog may not be up yet.
    removeFolder(folder)
    process.exit(0)
  })
  // A group signal (Ctrl-C in a terminal) reaches the child too; the host decides when its children end.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => {})
  followParent(folder)
  serve({
    post: (message) => process.send?.(isPacket(message) ? withoutRoom(message) : message),
    listen: (handle) => process.on('message', handle),
  })
}

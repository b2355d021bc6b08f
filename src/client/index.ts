/**
 * A client for any server of the Open Inference Protocol v2 (modelmount, Triton, KServe, MLServer): the same `predict()` as in the process.
 * It needs nothing but `fetch`.
 * @module modelmount/client
 */

import { isModelmountError, ModelmountError } from '../core/errors.ts'
import { onAbort } from '../core/host/abort.ts'
import type { PredictInputs } from '../core/predict/types.ts'
import type { SequencePlace } from '../core/sequences/types.ts'
import { checkInputs } from '../core/tensor/index.ts'
import type { ModelSignature, Tensor } from '../core/tensor/types.ts'
import { decodeAnswer } from './decode.ts'
import { checkable, MOST_DESCRIPTION_BYTES, readDescription, readSignature } from './description.ts'
import { encodeRequest } from './encode.ts'
import type { Json } from './json.ts'
import { type CallLimits, createTransport } from './transport.ts'
import { JSON_LENGTH } from './wire.ts'

export { type ErrorCode, isModelmountError, ModelmountError } from '../core/errors.ts'
export type { PredictInputs } from '../core/predict/types.ts'
export type { SequencePlace } from '../core/sequences/types.ts'
export type { Tensor, TensorLike } from '../core/tensor/types.ts'

export interface ClientOptions {
  /** Base URL of the routes, without `/v2`: `http://127.0.0.1:3000/ml`. */
  readonly url: string | URL
  /** Sent with every request, for example `authorization`; a function is called each time. @default {} */
  readonly headers?: Readonly<Record<string, string>> | (() => Promise<Readonly<Record<string, string>>>)
  /** Longest time for one call with all its retries, in milliseconds. @default 30000 */
  readonly timeoutMs?: number
  /** Most retries of a call, made only if that is safe. @default 2 */
  readonly retries?: number
  /** Tensors as bytes; `false` for JSON. @default as the server's list of extensions allows */
  readonly binary?: boolean
  /**
   * Longest answer, in bytes after unpacking; a longer one ends the call with `REMOTE_FAILED`. A quarter of it may be JSON: request large
   * tensors as bytes.
   * @default 268435456 (256 MiB)
   */
  readonly maxAnswerBytes?: number
  /** @default the global one, which keeps connections alive */
  readonly fetch?: typeof fetch
}

export interface RemoteOptions {
  /** @default the server's choice */
  readonly version?: string
  /** Echoed by the server. */
  readonly id?: string
  readonly signal?: AbortSignal
  /** Also sent to the server (`x-request-timeout-ms`). @default the client's */
  readonly timeoutMs?: number
  /** Names of the outputs to compute. @default all */
  readonly outputs?: readonly string[]
  /** Parameters of the request, for servers that know them. */
  readonly parameters?: Readonly<Record<string, string | number | boolean>>
  /** Sequence of this request, for models that keep state. */
  readonly sequence?: SequencePlace
  /** The call may be made twice: it is then retried even if it is unknown whether it arrived. Not with `sequence`. @default false */
  readonly idempotent?: boolean
}

export interface RemoteResult {
  /** Echoed by the server. */
  readonly id: string | undefined
  readonly model: string
  /** Empty if the server has no versions. */
  readonly version: string
  /** Null-prototype object, output name -> tensor; every tensor owns its buffer. */
  readonly outputs: Readonly<Record<string, Tensor>>
  readonly timings: { readonly totalMs: number }
}

export interface ModelClient {
  /**
   * Runs a model on the server. Inputs are checked against the model's metadata before anything is sent.
   * @throws ModelmountError with the codes of `server.predict()`, and `REMOTE_UNREACHABLE`, `REMOTE_FAILED`
   */
  predict(model: string, inputs: PredictInputs, opts?: RemoteOptions): Promise<RemoteResult>
  /** Inputs and outputs from the server's metadata; kept for a minute. */
  signature(model: string, version?: string): Promise<ModelSignature>
  /** Whether the server, or one model, takes requests now. Never rejects. */
  isReady(model?: string, version?: string): Promise<boolean>
}

/** How long the server's descriptions of its models are kept. */
const KEEP_MS = 60_000
/** Most remembered names of models: an app may take them from its own callers. */
const MOST_KNOWN = 1000
const READY_TIMEOUT_MS = 5000

/** @throws ModelmountError `OPTIONS_INVALID` */
export function createClient(options: ClientOptions): ModelClient {
  const { headers = {}, timeoutMs = 30_000, retries = 2, binary, maxAnswerBytes = 256 * 1024 * 1024 } = options
  if (!Number.isSafeInteger(maxAnswerBytes) || maxAnswerBytes < 1)
    throw wrongOption('maxAnswerBytes', 'a whole number of bytes, at least 1')
  const url = baseOf(options.url)
  const transport = createTransport({
    url,
    retries,
    // Looked up at each call, so that it can be replaced in tests and instrumented.
    fetch: options.fetch ?? ((...args) => fetch(...args)),
    headers: () => (typeof headers === 'function' ? headers() : headers),
  })
  const known = new Map<string, { readonly value: Promise<unknown>; readonly until: number }>()

  /** The server's description of itself, requested once for all callers. Each waits within its own deadline. */
  function ask<T>(path: string, read: (json: Json) => T): Promise<T> {
    const kept = known.get(path)
    if (kept && kept.until > performance.now()) return kept.value as Promise<T>
    const limits = { timeoutMs, signal: undefined, isIdempotent: true, maxBytes: MOST_DESCRIPTION_BYTES }
    const value = transport({ method: 'GET', path }, limits).then((reply) => read(readDescription(reply.body)))
    const entry = { value, until: performance.now() + KEEP_MS }
    // Moves it to the end of the line, even if it was in line before.
    known.delete(path)
    known.set(path, entry)
    const [oldest] = known.size > MOST_KNOWN ? known.keys() : []
    if (oldest !== undefined) known.delete(oldest)
    value.catch(() => {
      // Another call may have succeeded meanwhile.
      if (known.get(path) === entry) known.delete(path)
    })
    return value
  }

  const takesBinary = (): Promise<boolean> | boolean =>
    binary ??
    ask('/v2', ({ extensions }) => Array.isArray(extensions) && extensions.includes('binary_tensor_data')).catch((error) => {
      // A server that does not describe itself still understands JSON; an unreachable one gives no answer at all.
      if (isModelmountError(error) && error.code === 'REMOTE_UNREACHABLE') throw error
      return false
    })

  const signature = (model: string, version?: string): Promise<ModelSignature> => ask(pathOf(model, version), readSignature)

  async function predict(model: string, inputs: PredictInputs, opts: RemoteOptions = {}): Promise<RemoteResult> {
    const startedAt = performance.now()
    const { version, id, outputs, sequence, signal, idempotent = false } = opts
    const parameters = sequence ? { ...opts.parameters, ...placeOf(sequence) } : opts.parameters
    const limitMs = opts.timeoutMs ?? timeoutMs
    const ready = Promise.all([signature(model, version), takesBinary()])
    const [described, isBinary] = await within(ready, limitMs, signal)
    const tensors = checkInputs(checkable(described), inputs, { maxElements: 2 ** 31 })
    const request = encodeRequest(tensors, { id, outputs, parameters }, isBinary)
    const remainingMs = Math.max(1, limitMs - (performance.now() - startedAt))
    const limits: CallLimits = {
      timeoutMs: Math.ceil(remainingMs),
      signal,
      isIdempotent: idempotent && !sequence,
      maxBytes: maxAnswerBytes,
    }
    const reply = await transport({ method: 'POST', path: `${pathOf(model, version)}/infer`, ...request }, limits)
    const answer = decodeAnswer(reply.body, reply.headers.get(JSON_LENGTH), {
      signature: described,
      outputs: outputs ?? [],
      maxJsonBytes: Math.ceil(maxAnswerBytes / 4),
    })
    return { ...answer, timings: { totalMs: performance.now() - startedAt } }
  }

  return {
    predict,
    signature,
    async isReady(model, version) {
      const path = model === undefined ? '/v2/health/ready' : `${pathOf(model, version)}/ready`
      const limits = {
        timeoutMs: Math.min(timeoutMs, READY_TIMEOUT_MS),
        signal: undefined,
        isIdempotent: false,
        maxBytes: MOST_DESCRIPTION_BYTES,
      }
      return transport({ method: 'GET', path }, limits).then(
        () => true,
        () => false,
      )
    },
  }
}

/** As Triton's sequence extension has it. */
const placeOf = ({ id, start = false, end = false }: SequencePlace) => ({
  sequence_id: id,
  sequence_start: start,
  sequence_end: end,
})

const wrongOption = (field: string, expected: string): ModelmountError =>
  new ModelmountError('OPTIONS_INVALID', `${field} must be ${expected}`, { details: { field, expected } })

function baseOf(url: string | URL): string {
  const base = URL.canParse(String(url)) ? new URL(url) : undefined
  if (base?.protocol !== 'http:' && base?.protocol !== 'https:')
    throw wrongOption('url', 'the address of a server, such as http://127.0.0.1:3000/ml')
  return `${base.origin}${base.pathname.replace(/\/+$/, '')}`
}

const pathOf = (model: string, version: string | undefined): string =>
  `/v2/models/${encodeURIComponent(model)}${version === undefined ? '' : `/versions/${encodeURIComponent(version)}`}`

/** Stops waiting for a result that others wait for, too. */
function within<T>(value: Promise<T>, timeoutMs: number, signal: AbortSignal | undefined): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const aborted = (): void => reject(new ModelmountError('ABORTED', 'the call was aborted', { cause: signal?.reason }))
    if (signal?.aborted) return aborted()
    const timer = setTimeout(
      () => reject(new ModelmountError('DEADLINE_EXCEEDED', `no answer within ${timeoutMs} ms`)),
      timeoutMs,
    )
    const leave = signal && onAbort(signal, aborted)
    const clear = (): void => {
      clearTimeout(timer)
      leave?.()
    }
    value.then(resolve, reject).finally(clear)
  })
}

/** One error class, one table from code to HTTP status, one brand that survives two copies of the library. */

import { printable } from './host/printable.ts'

interface ErrorKind {
  /** HTTP status that a route answers with. */
  readonly status: number
  /** True when the same call may succeed later or elsewhere. */
  readonly retryable: boolean
}

const kind = (status: number, retryable = false): ErrorKind => ({ status, retryable })

/** Every error code with its HTTP status. docs/reference/errors.md prints the same table; a test keeps the two equal. */
export const ERROR_TABLE = {
  /** Options, a model spec or call arguments are wrong; the message lists every problem with its path. */
  OPTIONS_INVALID: kind(500),
  /** The body is not valid JSON or not shaped like the protocol's request. */
  REQUEST_INVALID: kind(400),
  /** An input is missing, unknown, given twice, or does not fit the model's signature. */
  INPUT_INVALID: kind(400),
  /** The inputs fit the signature, but the model's own computation refused them (shapes that do not go together, an index out of range). */
  INPUT_REJECTED: kind(400),
  /** An output was asked for that the model does not have. */
  OUTPUT_NOT_FOUND: kind(400),
  /** The model keeps state from one request to the next, and the request does not say of which sequence it is. */
  SEQUENCE_REQUIRED: kind(400),
  /** The mount's `identify` does not know who asks. */
  UNAUTHENTICATED: kind(401),
  /** The mount's `identify` knows who asks, and refuses. */
  FORBIDDEN: kind(403),
  /** A page of another site asks for something that changes what the server does. */
  CROSS_SITE: kind(403),
  MODEL_NOT_FOUND: kind(404),
  VERSION_NOT_FOUND: kind(404),
  LABEL_NOT_FOUND: kind(404),
  /** No sequence of this id is open: never started, ended, idle for too long, or of a version that is gone. */
  SEQUENCE_NOT_FOUND: kind(404),
  ROUTE_NOT_FOUND: kind(404),
  METHOD_NOT_ALLOWED: kind(405),
  /** This name and version stands for other bytes already. */
  MODEL_CONFLICT: kind(409),
  /** The body did not arrive within `bodyTimeoutMs`. */
  BODY_TIMEOUT: kind(408, true),
  BODY_TOO_LARGE: kind(413),
  MEDIA_TYPE_UNSUPPORTED: kind(415),
  /** This caller has too many requests waiting. */
  QUOTA_EXCEEDED: kind(429, true),
  /** The caller went away or its signal fired. */
  ABORTED: kind(499),
  /** No trusted signer has signed these bytes, or the policy, the revocation list or the lock file refuses them. */
  MODEL_UNTRUSTED: kind(500),
  /** A model's `config.pbtxt` or `model.json` is wrong, or its settings contradict the graph. */
  CONFIG_INVALID: kind(500),
  /** The file is empty, truncated or not an ONNX model. */
  MODEL_INVALID: kind(500),
  /** The file is a model that onnxruntime-node cannot serve (element types, operators, opset). */
  MODEL_UNSUPPORTED: kind(500),
  /** The model could not be loaded for another reason: file missing, provider missing, time-out, larger than the memory budget. */
  MODEL_LOAD_FAILED: kind(500),
  /** The run failed for a reason that is not the caller's. */
  INFERENCE_FAILED: kind(500),
  /** The mount's `identify` failed, or gave something that is no identity. */
  IDENTITY_FAILED: kind(500),
  /** The process or the machine cannot run models as it is; `details.problem` says why, the message what to do. */
  HOST_UNSUPPORTED: kind(500),
  /** A defect of the library itself. */
  INTERNAL: kind(500),
  /** A remote server did not answer, or was not there. */
  REMOTE_UNREACHABLE: kind(502, true),
  /** A remote server answered with something that is not the protocol's, or with an error that we have no code for. */
  REMOTE_FAILED: kind(502),
  /** The model is loading, draining or failed. */
  MODEL_NOT_READY: kind(503, true),
  /** The model crashed too often, or could not be loaded again on demand; requests are refused until the next attempt succeeds. */
  MODEL_UNAVAILABLE: kind(503, true),
  QUEUE_FULL: kind(503, true),
  /** As many sequences are open as the model may keep, or their state takes as much memory as it may. */
  SEQUENCE_LIMIT: kind(503, true),
  /** The queue is so long that the request would miss its deadline, or the server holds as many bytes of requests as it may. */
  OVERLOADED: kind(503, true),
  /** The worker died under this run. */
  WORKER_LOST: kind(503, true),
  SERVER_CLOSED: kind(503, true),
  DEADLINE_EXCEEDED: kind(504, true),
} as const satisfies Record<string, ErrorKind>

/** Stable machine-readable error code. */
export type ErrorCode = keyof typeof ERROR_TABLE

/** The fault in detail; never contains tensor values. */
export interface ErrorDetails {
  /** Path of the offending field, for example `inputs[0].shape` or `models[0].source`. */
  readonly field?: string
  /** Name of the model input the error is about. */
  readonly input?: string
  readonly expected?: string
  readonly got?: string
  readonly [key: string]: unknown
}

const BRAND: unique symbol = Symbol.for('modelmount.error')

/** Every error that leaves modelmount. Recognise it with {@link isModelmountError}, not `instanceof`: an app may hold two copies. */
export class ModelmountError extends Error {
  override readonly name = 'ModelmountError'
  readonly code: ErrorCode
  /** HTTP status of {@link code}. */
  readonly status: number
  /** True when the same call may succeed later or elsewhere. */
  readonly retryable: boolean
  readonly details: ErrorDetails | undefined
  /** Seconds after which a retry makes sense; sent as `Retry-After` with 503 answers. */
  readonly retryAfterS: number | undefined
  readonly [BRAND] = true

  constructor(
    code: ErrorCode,
    message: string,
    opts: { readonly details?: ErrorDetails; readonly cause?: unknown; readonly retryAfterS?: number } = {},
  ) {
    // Messages quote names of files and requests, and end in logs and terminals.
    super(printable(message), opts.cause === undefined ? undefined : { cause: opts.cause })
    this.code = code
    this.status = ERROR_TABLE[code].status
    this.retryable = ERROR_TABLE[code].retryable
    this.details = opts.details
    this.retryAfterS = opts.retryAfterS
  }
}

/** True for an error made by any copy of modelmount in this process. */
export function isModelmountError(value: unknown): value is ModelmountError {
  return typeof value === 'object' && value !== null && (value as { [BRAND]?: unknown })[BRAND] === true
}

/** Passes our own errors through and wraps anything else as `INTERNAL`, so that no bare error leaves a room. */
export function toModelmountError(value: unknown): ModelmountError {
  return isModelmountError(value) ? value : new ModelmountError('INTERNAL', 'internal error', { cause: value })
}

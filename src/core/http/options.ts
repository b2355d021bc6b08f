/** Options of HTTP: bounds of bodies, and the routes of a mount. */

import { boolean, type Declared, decided, integer, list, name, object, oneOf } from '../options/kinds.ts'
import { ensure, refuse } from '../options/refuse.ts'
import { ROUTE_CLASSES, type RouteClass } from '../predict/route-class.ts'

/** A request format with its own routes and its own shape of errors. */
export type HttpDialect = 'open-inference' | 'tf-serving' | 'mlflow'

/** Bounds of request bodies. */
export interface BodyOptions {
  /** Largest HTTP request body in bytes. @default 67108864 (64 MiB) */
  readonly maxBodyBytes?: number
  /**
   * Most bytes of JSON, or of CSV, in a request body, and most bytes of text in all strings of a request; more get 413. Numbers that follow as
   * binary data do not count. Bodies above 16 KiB are read in a thread beside the event loop.
   * @default 16777216 (16 MiB)
   */
  readonly maxJsonBytes?: number
  /**
   * Bytes of all HTTP request bodies together, received and unpacked, from their arrival to the answer. Requests beyond get 503 `OVERLOADED` with
   * `Retry-After` before more of them is read. At least four times `maxBodyBytes`.
   * @default 268435456 (256 MiB), or four times `maxBodyBytes`
   */
  readonly maxInflightBytes?: number
  /** Longest time that receiving one HTTP request body may take, in milliseconds; slower ones get 408. @default 60000 */
  readonly bodyTimeoutMs?: number
}

/** The routes that one mount of a server answers. */
export interface MountOptions {
  /**
   * `open-inference` answers below `/v2`, `tf-serving` below `/v1/models`, `mlflow` at `/invocations`, `/ping`, `/health` and `/version`.
   * @default ['open-inference']
   */
  readonly dialects?: readonly HttpDialect[]
  /**
   * Let clients load and unload models (`/v2/repository/…`). Every client that reaches such a mount decides what is served.
   * @default false
   */
  readonly management?: boolean
  /**
   * Let clients say by the parameter `priority` how urgent a request is. A request of high priority may take the place of waiting ones. The
   * parameter is passed over otherwise, as Triton does for models without priority levels.
   * @default false
   */
  readonly allowPriority?: boolean
  /**
   * Tell clients by the header `Server-Timing` how long a request waited and ran.
   * @default false: it tells them how loaded the server is, too
   */
  readonly serverTiming?: boolean
  /** Answer `/metrics` for Prometheus: a route of the mount like the others, open to whom they are open to. @default false */
  readonly metrics?: boolean
  /** Answer `/openapi.json`. @default true */
  readonly openapi?: boolean
  /**
   * Classes of routes that this mount answers, those of extensions among them. `management` and `metrics` add their own routes.
   * @default ['inference']
   */
  readonly show?: readonly RouteClass[]
  /** The model of the one-model routes of `mlflow`. @default the only model of the server, in its default version */
  readonly mlflow?: { readonly model: string; readonly version?: string }
}

const INFLIGHT_BYTES = 256 * 1024 * 1024
/** A body that was packed is there as it came, in one piece, and unpacked; and one must not keep out all others. */
const BODIES_IN_FLIGHT = 4

export const BODY_OPTIONS = {
  maxBodyBytes: integer(1, 2 ** 31 - 1).default(64 * 1024 * 1024),
  maxJsonBytes: integer(1, 2 ** 29 - 1).default(16 * 1024 * 1024),
  maxInflightBytes: integer(1, Number.MAX_SAFE_INTEGER),
  bodyTimeoutMs: integer(1, 2 ** 31 - 1).default(60_000),
} satisfies Declared<BodyOptions>

/** Decides what was left open. */
export function bodyConfig(set: BodyOptions) {
  const all = decided(BODY_OPTIONS, set)
  return { ...all, maxInflightBytes: all.maxInflightBytes ?? Math.max(INFLIGHT_BYTES, BODIES_IN_FLIGHT * all.maxBodyBytes) }
}

/** Contradictions between its parts. */
export function bodyContradictions(set: BodyOptions): string[] {
  const { maxInflightBytes, maxBodyBytes } = bodyConfig(set)
  return maxInflightBytes < BODIES_IN_FLIGHT * maxBodyBytes
    ? [`maxInflightBytes (${maxInflightBytes}) must be at least ${BODIES_IN_FLIGHT} times maxBodyBytes (${maxBodyBytes})`]
    : []
}

export const MOUNT_OPTIONS = {
  dialects: list(oneOf('open-inference', 'tf-serving', 'mlflow'))
    .default(['open-inference'])
    .asFlag({ value: 'LIST', says: 'request formats, separated by commas' }),
  management: boolean
    .default(false)
    .asFlag({ says: 'let clients load and unload models of DIR: only if no one else can reach the port' }),
  allowPriority: boolean.default(false).asFlag({ says: 'let clients say how urgent a request is' }),
  serverTiming: boolean.default(false),
  metrics: boolean
    .default(false)
    .asFlag({ says: 'answer /metrics for Prometheus; needs OpenTelemetry, and follows its OTEL_* variables' }),
  openapi: boolean.default(true),
  show: list(oneOf(...ROUTE_CLASSES)).default(['inference']),
  mlflow: object<NonNullable<MountOptions['mlflow']>>({ model: name.required(), version: name }),
} satisfies Declared<MountOptions>

const mountOptions = object<MountOptions>(MOUNT_OPTIONS)

/** A mount with every setting decided. */
export type MountConfig = ReturnType<typeof resolveMount>

/**
 * Checks the options of `server.http.mount()`.
 * @throws ModelmountError `OPTIONS_INVALID` with `details.problems`
 */
export function resolveMount(options: MountOptions = {}) {
  ensure(mountOptions, options, '')
  const set = decided(MOUNT_OPTIONS, options)
  refuse(mountContradictions(set))
  return Object.freeze(set)
}

function mountContradictions({
  dialects,
  management,
  mlflow,
}: Pick<MountOptions, 'management' | 'mlflow'> & Required<Pick<MountOptions, 'dialects'>>): string[] {
  const problems = dialects.flatMap((dialect, index) =>
    dialects.indexOf(dialect) < index ? [`dialects[${index}] is a second '${dialect}'`] : [],
  )
  if (management && !dialects.includes('open-inference'))
    problems.push("management needs 'open-inference' among the dialects: its routes are below /v2")
  if (mlflow && !dialects.includes('mlflow')) problems.push("mlflow needs 'mlflow' among the dialects")
  return problems
}

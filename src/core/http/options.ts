/** Options of HTTP: bounds of bodies, and the routes of a mount. */

import { DIALECTS, type Dialect } from '../dialects/index.ts'
import type { DialectOptions } from '../dialects/names.ts'
import { boolean, type Decided, type Declared, decided, integer, list, object, oneOf } from '../options/kinds.ts'
import { ensure, refuse } from '../options/refuse.ts'
import { ROUTE_CLASSES } from '../predict/route-class.ts'
import type { MountOptions } from './types.ts'

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

/** Options of mounts that no dialect declares. */
const OWN_OPTIONS = {
  allowPriority: boolean.default(false).asFlag({ says: 'let clients say how urgent a request is' }),
  serverTiming: boolean.default(false),
  metrics: boolean
    .default(false)
    .asFlag({ says: 'answer /metrics for Prometheus; needs OpenTelemetry, and follows its OTEL_* variables' }),
  openapi: boolean.default(true),
  show: list(oneOf(...ROUTE_CLASSES)).default(['inference']),
}

/** A mount with every setting decided. */
export type MountConfig = Decided<typeof OWN_OPTIONS> & DialectOptions & { readonly dialects: readonly string[] }

/** The options of a mount of these dialects. */
export function mountOptionsOf(dialects: readonly Dialect[]) {
  const names = dialects.map(({ name }) => name)
  const fields = {
    dialects: list(oneOf(...names))
      .default(names.slice(0, 1))
      .asFlag({ value: 'LIST', says: 'request formats, separated by commas' }),
    ...Object.assign({}, ...dialects.map(({ options }) => options)),
    ...OWN_OPTIONS,
  } as Declared<MountOptions>
  const form = object<MountOptions>(fields)

  /**
   * Checks the options of `server.http.mount()`.
   * @throws ModelmountError `OPTIONS_INVALID` with `details.problems`
   */
  function resolve(options: MountOptions = {}): MountConfig {
    ensure(form, options, '')
    const set = decided(fields, options) as MountConfig
    refuse([...repeated(set.dialects), ...contradictions(set)])
    return Object.freeze(set)
  }

  const contradictions = (set: MountConfig): string[] =>
    dialects.flatMap((dialect) => dialect.contradictions?.(set, set.dialects.includes(dialect.name)) ?? [])

  return { fields, resolve }
}

const repeated = (dialects: readonly string[]): string[] =>
  dialects.flatMap((dialect, index) => (dialects.indexOf(dialect) < index ? [`dialects[${index}] is a second '${dialect}'`] : []))

export const { fields: MOUNT_OPTIONS, resolve: resolveMount } = mountOptionsOf(DIALECTS)

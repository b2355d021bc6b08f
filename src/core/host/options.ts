/** Options of what the process lends a server: its log, its telemetry, its memory and a folder. */

import { type Check, type Declared, filled, integer, object, special } from '../options/kinds.ts'
import type { Telemetry } from '../telemetry/index.ts'
import type { Logger } from './logger.ts'

/** Parts of the process that a server uses. */
export interface HostOptions {
  /**
   * Memory for the instances of all models together. A load that would go beyond it first unloads idle models, the least recently used
   * first; a model that is larger than all of it fails to load.
   * @default no bound
   */
  readonly memory?: { readonly budgetBytes: number }
  /**
   * Folder for what is found out about models (`proofCache`) and derived from them (`shareWeights`); made if need be. It must belong to this user and not be writable for others.
   * May be shared by servers of one machine, and deleted at any time.
   * @default `modelmount` in the user's cache folder, or `modelmount-<uid>` in the one for temporary files
   */
  readonly cacheDirectory?: string
  /** Where warnings and errors go; `false` for nowhere. @default console, warnings and errors only */
  readonly logger?: Logger | false
  /** Metrics and traces: `otelTelemetry()` of `modelmount/telemetry`, or your own. @default none */
  readonly telemetry?: Telemetry
}

const SILENT: Logger = { info() {}, warn() {}, error() {} }
const CONSOLE: Logger = {
  info() {},
  warn: (message) => console.warn(`modelmount: ${message}`),
  error: (message) => console.error(`modelmount: ${message}`),
}

const checkLogger: Check = (value, problems) => {
  if (value === false) return
  const methods = value as Partial<Record<'info' | 'log' | 'warn' | 'error', unknown>> | null
  const informs = typeof methods?.info === 'function' || typeof methods?.log === 'function'
  if (!informs || typeof methods.warn !== 'function' || typeof methods.error !== 'function')
    problems.push((path) => `${path} must be false or have the methods info (or log), warn and error`)
}

const HOOKS: readonly (keyof Telemetry)[] = ['watch', 'begin', 'end', 'run', 'load', 'metricsText']

const checkTelemetry: Check = (value, problems) => {
  const hooks = value as Partial<Record<keyof Telemetry, unknown>> | null
  if (typeof hooks !== 'object' || hooks === null || !HOOKS.some((hook) => typeof hooks[hook] === 'function'))
    problems.push((path) => `${path} must have one of the methods ${HOOKS.join(', ')}; otelTelemetry() gives all`)
}

export const HOST_OPTIONS = {
  memory: object<NonNullable<HostOptions['memory']>>({ budgetBytes: integer(1, Number.MAX_SAFE_INTEGER).required() }),
  cacheDirectory: filled('the path of a directory'),
  logger: special<Logger | false>('a logger, or false', checkLogger),
  telemetry: special<Telemetry>('an object with methods of Telemetry', checkTelemetry),
} satisfies Declared<HostOptions>

export const loggerOf = (logger: Logger | false | undefined): Logger => (logger === false ? SILENT : (logger ?? CONSOLE))

/** Three kinds of loggers behind one function: `console` and its like, pino, and Nest's. */

/**
 * `console` and similar objects; pino, which also gets the event as an object `{ event, model, version, … }`; or Nest's `LoggerService`.
 * Nest's name for `info` is `log`: one of the two must exist.
 */
export interface Logger {
  info?(message: string): void
  log?(message: string): void
  warn(message: string): void
  error(message: string): void
}

export type Level = 'info' | 'warn' | 'error'

/** @param fields the message's facts, for loggers that keep objects */
export type Write = (level: Level, message: string, fields: Readonly<Record<string, unknown>>) => void

type PinoLike = Record<Level, (fields: object, message: string) => void>
type NestLike = Record<'log' | 'warn', (message: string, context: string) => void> & {
  error(message: string, stack: undefined, context: string): void
}

/** Only pino and its derivatives have `bindings()`. Other loggers that take an object first cannot be told from `console`. */
const isPino = (logger: object): logger is PinoLike =>
  typeof (logger as { bindings?: unknown }).bindings === 'function' && typeof (logger as { child?: unknown }).child === 'function'

export function writeTo(logger: Logger): Write {
  if (isPino(logger)) return (level, message, fields) => logger[level](fields, message)
  if (typeof logger.info === 'function') return (level, message) => logger[level]?.(message)
  const nest = logger as NestLike
  return (level, message) => {
    if (level === 'error') nest.error(message, undefined, 'modelmount')
    else nest[level === 'info' ? 'log' : level](message, 'modelmount')
  }
}

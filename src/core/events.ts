/**
 * Tells listeners and the log what happens to models. Neither can do harm by throwing, nor by what it does to the server meanwhile: listeners run
 * once what has happened is complete.
 */

import { type Level, type Write, writeTo } from './logger.ts'
import { printable } from './printable.ts'
import type { Logger, ServerEvent } from './types.ts'

export interface Events {
  /** The log has it at once; listeners get it in a microtask, before anybody who waits for what has happened goes on. */
  emit(event: ServerEvent): void
  subscribe(listener: (event: ServerEvent) => void): () => void
}

type Listener = (event: ServerEvent) => void

export function createEvents(logger: Logger): Events {
  const write = writeTo(logger)
  const listeners = new Set<Listener>()
  return {
    emit(given) {
      const event = shown(given)
      tell((event) => log(write, event), event)
      if (listeners.size === 0) return
      const told = [...listeners]
      queueMicrotask(() => {
        for (const listener of told) if (listeners.has(listener)) tell(listener, event)
      })
    },
    subscribe(listener) {
      // Two subscriptions of one function are two.
      const own: Listener = (event) => listener(event)
      listeners.add(own)
      return () => listeners.delete(own)
    },
  }
}

function tell(listener: Listener, event: ServerEvent): void {
  try {
    listener(event)
  } catch {
    // An observer's fault is not the model's.
  }
}

/** The event with text that stays on its line: reasons and messages quote names of files, graphs and requests. */
const shown = (event: ServerEvent): ServerEvent =>
  Object.fromEntries(
    Object.entries(event).map(([field, value]) => [field, typeof value === 'string' ? printable(value) : value]),
  ) as ServerEvent

function log(write: Write, event: ServerEvent): void {
  const { type, ...rest } = event
  const fields: Record<string, unknown> = { event: type, ...rest }
  // It is the line itself.
  delete fields.message
  const say = (level: Level, message: string): void => write(level, message, fields)
  const of = 'model' in event ? `${event.model}@${event.version}` : ''
  if (event.type === 'warning') say('warn', event.message)
  else if (event.type === 'provider-fallback')
    say('warn', `${of}: execution provider '${event.wanted}' could not start, using '${event.using}': ${event.reason}`)
  else if (event.type === 'worker-lost')
    say('error', `${of}: worker lost (${event.reason}), restarting in ${event.restartInMs} ms`)
  else if (event.type === 'start-refused')
    say('error', `${of}: no worker is started (${event.reason}), looking again in ${event.retryInMs} ms`)
  else if (event.type === 'weights' && event.failed) say('warn', `${of}: weights are not shared: ${event.reason}`)
  else if (event.type === 'untried') say('warn', `${of}: could not be tried, so its requests run alone: ${event.reason}`)
  else if (event.type === 'breaker') say('error', `${of}: circuit breaker ${event.state} after ${event.crashes} crashes`)
  else if (event.type === 'scaled' && event.reason === 'failed')
    say('warn', `${of}: an instance could not be added, going on with ${event.instances}: ${event.detail}`)
  else if (event.type === 'scaled') say('info', `${of}: ${event.instances} instances (${event.reason})`)
  else if (event.type === 'residency')
    say('info', `${of}: ${event.resident ? 'loaded again' : 'out of memory'} (${event.reason})`)
  else if (event.type === 'integrity' && event.outcome === 'refused') say('error', `${of}: refused: ${event.reason}`)
  else if (event.type === 'integrity' && event.outcome === 'verified')
    say('info', `${of}: ${event.manifestId} signed by ${event.signer}`)
  else if (event.type === 'integrity' && event.reason) say('warn', `${of}: runs although it is not trusted: ${event.reason}`)
  else if (event.type === 'batching') say('warn', `${of}: requests do not share runs any more: ${event.reason}`)
  else if (event.type === 'isolation') say('warn', `${of}: runs in a process of its own: ${event.reason}`)
  else if (event.type === 'worker-output') say('warn', `${of}: ${event.line}`)
  else if (event.type === 'model' && event.state === 'failed') say('error', `${of}: failed: ${event.reason}`)
  else if (event.type === 'model') say('info', `${of}: ${event.state}`)
}

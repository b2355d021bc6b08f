/** Tells listeners and the log what happens to models. Neither can do harm by throwing. */

import type { Logger, ServerEvent } from './types.ts'

export interface Events {
  emit(event: ServerEvent): void
  subscribe(listener: (event: ServerEvent) => void): () => void
}

export function createEvents(logger: Logger): Events {
  const listeners = new Set<(event: ServerEvent) => void>([(event) => log(logger, event)])
  return {
    emit(event) {
      for (const listener of listeners) {
        try {
          listener(event)
        } catch {
          // An observer's fault is not the model's.
        }
      }
    },
    subscribe(listener) {
      // Two subscriptions of one function are two.
      const own = (event: ServerEvent): void => listener(event)
      listeners.add(own)
      return () => listeners.delete(own)
    },
  }
}

function log(logger: Logger, event: ServerEvent): void {
  const of = 'model' in event ? `${event.model}@${event.version}` : ''
  if (event.type === 'warning') logger.warn(event.message)
  else if (event.type === 'provider-fallback')
    logger.warn(`${of}: execution provider '${event.wanted}' could not start, using '${event.using}': ${event.reason}`)
  else if (event.type === 'worker-lost')
    logger.error(`${of}: worker lost (${event.reason}), restarting in ${event.restartInMs} ms`)
  else if (event.type === 'weights' && event.failed) logger.warn(`${of}: weights are not shared: ${event.reason}`)
  else if (event.type === 'breaker') logger.error(`${of}: circuit breaker ${event.state} after ${event.crashes} crashes`)
  else if (event.type === 'scaled' && event.reason === 'failed')
    logger.warn(`${of}: an instance could not be added, going on with ${event.instances}: ${event.detail}`)
  else if (event.type === 'scaled') logger.info(`${of}: ${event.instances} instances (${event.reason})`)
  else if (event.type === 'residency')
    logger.info(`${of}: ${event.resident ? 'loaded again' : 'out of memory'} (${event.reason})`)
  else if (event.type === 'integrity' && event.outcome === 'refused') logger.error(`${of}: refused: ${event.reason}`)
  else if (event.type === 'integrity' && event.outcome === 'verified')
    logger.info(`${of}: ${event.manifestId} signed by ${event.signer}`)
  else if (event.type === 'integrity' && event.reason) logger.warn(`${of}: runs although it is not trusted: ${event.reason}`)
  else if (event.type === 'worker-output') logger.warn(`${of}: ${event.line}`)
  else if (event.type === 'model' && event.state === 'failed') logger.error(`${of}: failed: ${event.reason}`)
  else if (event.type === 'model') logger.info(`${of}: ${event.state}`)
}

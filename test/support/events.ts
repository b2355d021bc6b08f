import type { ModelServer, ServerEvent } from 'modelmount'

/** Collects a server's events and waits for one. */
export function watch(server: ModelServer) {
  const seen: ServerEvent[] = []
  const waiting: { match: (event: ServerEvent) => boolean; resolve: (event: ServerEvent) => void }[] = []
  server.subscribe((event) => {
    seen.push(event)
    for (const waiter of waiting.splice(0)) {
      if (waiter.match(event)) waiter.resolve(event)
      else waiting.push(waiter)
    }
  })
  return {
    seen,
    /** The next event that matches. */
    next: (match: (event: ServerEvent) => boolean): Promise<ServerEvent> =>
      new Promise((resolve) => waiting.push({ match, resolve })),
  }
}

/** Servers that end with the test that started them. */

import { createModelServer, type ModelServer, type ModelServerOptions } from 'modelmount'
import { onTestFinished } from 'vitest'

/** A server without a logger that is closed when the running test has finished. */
export async function serverFor(options: ModelServerOptions): Promise<ModelServer> {
  const server = await createModelServer({ logger: false, ...options })
  onTestFinished(() => server.close({ timeoutMs: 5000 }))
  return server
}

/** Requests are sent to a worker at the end of the turn in which they arrive; after two turns a first one is running. */
export async function turns(): Promise<void> {
  for (let i = 0; i < 2; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** `settled` tells whether the promise has an outcome yet. */
export function observe<T>(promise: Promise<T>): { readonly promise: Promise<T>; readonly settled: boolean } {
  let settled = false
  const done = (): void => {
    settled = true
  }
  promise.then(done, done)
  return {
    promise,
    get settled() {
      return settled
    },
  }
}

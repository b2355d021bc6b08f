/** Servers that end with the test that started them. */

import { createModelServer, type ModelInfo, type ModelServer, type ModelServerOptions } from 'modelmount'
import { expect, onTestFinished } from 'vitest'

export { observe, turns } from './turns.ts'

/** A server without a logger that is closed when the running test has finished. */
export async function serverFor(options: ModelServerOptions): Promise<ModelServer> {
  const server = await createModelServer({ logger: false, ...options })
  onTestFinished(() => server.close({ timeoutMs: 5000 }))
  return server
}

/** The same, with models that are ready only once it was found out, by this server, whether their requests may share runs. */
export const provedServerFor = (options: ModelServerOptions): Promise<ModelServer> =>
  serverFor({ proof: 'before-ready', proofCache: false, ...options })

/** Resolves once that is known of a model that serves already. @returns what is known */
export async function proofOf(server: ModelServer, name: string, version?: string): Promise<ModelInfo['batching']> {
  const batching = (): ModelInfo['batching'] => server.model(name, version).batching
  await expect.poll(() => batching().state).not.toBe('proving')
  return batching()
}

/**
 * Resolves in the turn in which the requests made so far are sent to workers, right after that. No answer can have come by then, however
 * fast a run is: messages are received between turns. It stays so as long as only what is settled already is awaited.
 */
export async function posted(): Promise<void> {
  // The work of a request before it is queued takes microtasks only, and these come before the second tick.
  for (let i = 0; i < 2; i++) await new Promise<void>((resolve) => process.nextTick(resolve))
  // So the scheduler's callback stands before this one, and nothing is between the callbacks of one turn.
  await new Promise((resolve) => setImmediate(resolve))
}

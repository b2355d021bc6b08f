/** Servers in the state that benches measure: it is known of each model whether its requests share runs. */

import { createModelServer, type ModelServer, type ModelServerOptions } from 'modelmount'

/** Longest wait; a proof is bound to less. */
const LIMIT_MS = 60_000
const LOOK_MS = 20

/** Waits until nothing is being proved any more. A build of an earlier time proves before it is ready. */
export async function proved(server: ModelServer): Promise<ModelServer> {
  const until = performance.now() + LIMIT_MS
  while (server.models().some(({ batching }) => batching.state === 'proving')) {
    if (performance.now() > until) throw new Error('a model is still being proved')
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
  return server
}

/** Proves anew: a measurement that another run has kept must not decide. */
export const createProvedServer = async (options: ModelServerOptions): Promise<ModelServer> =>
  proved(await createModelServer({ proofCache: false, ...options }))

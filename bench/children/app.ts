/** An app in a process of its own. */

import type { AppAnswer, AppAsk } from '../apps/ask.ts'
import { answerParent } from '../lib/child.ts'

/** Nothing is loaded that this app does not have: objects in memory cost garbage collections. */
answerParent(async ({ kind, ...ask }: AppAsk): Promise<AppAnswer> => {
  if (ask.framework === 'node' || ask.framework === 'attach') {
    const { startNode, startNodeBytes, startNodeEcho } = await import('../apps/node.ts')
    if (kind === 'ours') return startNode({ kind, ...ask }, ask.framework === 'attach')
    return kind === 'bytes' ? startNodeBytes() : startNodeEcho()
  }
  if (kind === 'bytes') throw new Error(`nobody sends back bytes on ${ask.framework}`)
  if (ask.framework === 'nest') return (await import('../apps/nest.ts')).startNest({ kind, ...ask })
  if (ask.framework === 'fastify') return (await import('../apps/fastify.ts')).startFastify({ kind, ...ask })
  return (await import('../apps/express.ts')).startExpress({ kind, ...ask })
})

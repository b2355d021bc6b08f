/** Another server that answers under a name of this one. A sketch that compiles. */

import { ModelmountError } from 'modelmount'
import { createClient } from 'modelmount/client'
import type { Answer, CheckedCall, Extension, Servable } from 'modelmount/extension'

interface RemoteOptions {
  readonly url: string
  readonly model: string
  readonly signature: Servable['signature']
}

export function remote({ url, model, signature }: RemoteOptions): Extension {
  const client = createClient({ url })
  const running = new Set<Promise<unknown>>()
  let isDraining = false

  async function ask({ inputs, fetches, timeoutMs, signal, at }: CheckedCall): Promise<Answer> {
    const left = new AbortController()
    const leave = (): void => left.abort()
    signal?.addEventListener('abort', leave)
    const opts = { outputs: fetches, signal: left.signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) }
    const { outputs, timings } = await client
      .predict(model, inputs, opts)
      .finally(() => signal?.removeEventListener('abort', leave))
    const runMs = timings.totalMs
    const run = { batchId: 0, runMs, tier: 'elsewhere' } as const
    return { outputs, queueMs: 0, inferMs: runMs, batchSize: 1, endedAt: at + runMs, run }
  }

  const servable: Servable = {
    name: model,
    version: '1',
    kind: 'remote',
    get state() {
      return isDraining ? 'draining' : 'ready'
    },
    get available() {
      return !isDraining
    },
    signature,
    info: () => ({ doc: `Answered by ${url}.` }),
    run(call) {
      if (isDraining) return Promise.reject(new ModelmountError('MODEL_NOT_READY', 'the remote model takes no more requests'))
      const answer = ask(call).finally(() => running.delete(answer))
      running.add(answer)
      return answer
    },
    async drain() {
      isDraining = true
      await Promise.allSettled(running)
    },
  }
  return { apiVersion: 1, name: `remote-${model}`, servables: [servable] }
}

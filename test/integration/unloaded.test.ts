/** An unloaded model is out of memory once its last run has settled, whatever deadlines its requests had. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { mlpModel } from '../../tools/models.mjs'
import { serverFor } from '../support/server.ts'
import { constantOf } from '../support/small-models.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const HOUR_MS = 3_600_000

test.each(['thread', 'process'] as const)('%s tier', async (isolation) => {
  const server = await serverFor({ models: [], isolation, canary: false })

  /** Leaves nothing on the stack that holds what it has loaded. */
  async function cycle(): Promise<WeakRef<object>> {
    const source = mlpModel()
    await server.load({ name: 'm', source, instances: { min: 1, max: 2 } })
    const x = [Array.from({ length: 32 }, () => 1)]
    // Of two deadlines the later one comes first, and one request is given up while it waits.
    const given = new AbortController()
    const answers = [
      server.predict('m', { x }, { timeoutMs: HOUR_MS }),
      server.predict('m', { x }, { timeoutMs: HOUR_MS / 2 }),
      server.predict('m', { x }, { timeoutMs: HOUR_MS, signal: given.signal }),
    ]
    given.abort()
    await Promise.allSettled(answers)
    await server.unload('m')
    return new WeakRef(source)
  }

  const loaded = await cycle()
  // Another one takes the place of what the server remembers of its last load.
  await server.load({ name: 'other', source: constantOf(1) })
  await expect
    .poll(() => {
      collectGarbage()
      return loaded.deref()
    })
    .toBeUndefined()
})

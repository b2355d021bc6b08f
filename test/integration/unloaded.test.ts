/** An unloaded model is out of memory once its last run has settled, whatever deadlines its requests had. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { matmulChainModel } from '../../tools/models.mjs'
import { serverFor } from '../support/server.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const HOUR_MS = 3_600_000
const CYCLES = 8
const SIZE = 512
const MODEL_BYTES = 4 * SIZE * SIZE * 4

test.each(['thread', 'process'] as const)('%s tier', async (isolation) => {
  const server = await serverFor({ models: [], isolation, trialRun: false })

  async function cycle(seed: number): Promise<void> {
    const source = matmulChainModel({ size: SIZE, count: 4, seed })
    await server.load({ name: 'm', source, batching: false })
    const x = { type: 'float32', dims: [1, SIZE], data: new Float32Array(SIZE) } as const
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
  }

  const heldBytes = (): number => {
    collectGarbage()
    return process.memoryUsage().arrayBuffers
  }

  await cycle(0)
  const before = heldBytes()
  for (let seed = 1; seed <= CYCLES; seed++) await cycle(seed)
  // One of them may be what the server remembers last.
  await expect.poll(() => heldBytes() - before).toBeLessThan(2 * MODEL_BYTES)
})

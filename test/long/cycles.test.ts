/** Loads and unloads without end leave nothing behind: no memory, no worker, no file descriptor. */

import { readdirSync, readFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createModelServer } from 'modelmount'
import { expect, test } from 'vitest'
import { matmulChainModel } from '../../tools/models.mjs'
import { workerPids } from '../support/children.ts'
import { LINUX } from '../support/needs.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const CYCLES = 200
/** The remains of the first loads are the price of loading at all: code, pools of malloc, the binding. */
const WARM = 40
const HOUR_MS = 3_600_000
const MIB = 2 ** 20
/** A model of about 4 MiB: 160 of them would be 640. */
const SIZE = 512
const MODEL_BYTES = 4 * SIZE * SIZE * 4
const MOST_GROWTH = 12 * MODEL_BYTES

const residentBytes = (): number => {
  collectGarbage()
  const status = readFileSync('/proc/self/status', 'latin1')
  return Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1]) * 1024
}
const descriptors = (): number => readdirSync('/proc/self/fd').length

test.each(['thread', 'process'] as const)('%s tier: 200 cycles from bytes', LINUX, async (isolation) => {
  const server = await createModelServer({ models: [], isolation, logger: false })
  const x = { type: 'float32', dims: [1, SIZE], data: new Float32Array(SIZE) } as const

  async function cycle(i: number): Promise<void> {
    // Samples, or a trial, or neither: each way to load.
    const how = [{ warmup: [{ x }] }, {}, { batching: false as const }][i % 3]
    await server.load({ name: 'm', source: matmulChainModel({ size: SIZE, count: 4, seed: i }), ...how })
    await Promise.all([HOUR_MS, HOUR_MS / 2].map((timeoutMs) => server.predict('m', { x }, { timeoutMs })))
    await server.unload('m')
  }

  for (let i = 0; i < WARM; i++) await cycle(i)
  await expect.poll(workerPids).toEqual([])
  const before = { bytes: residentBytes(), descriptors: descriptors() }
  for (let i = WARM; i < CYCLES; i++) await cycle(i)
  await expect.poll(workerPids).toEqual([])
  await expect.poll(descriptors).toBeLessThanOrEqual(before.descriptors + 2)
  const growth = residentBytes() - before.bytes
  console.log(`${isolation}: ${(growth / MIB).toFixed(1)} MiB more after ${CYCLES - WARM} cycles than before`)
  expect(growth).toBeLessThan(MOST_GROWTH)
  await server.close()
})

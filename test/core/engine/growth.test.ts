/** A pool that cannot grow: the reservation for the missing instance is free for others. */

import { describe, expect, test } from 'vitest'
import type { Channel } from '../../../src/core/engine/channel.ts'
import { createCpuBudget } from '../../../src/core/engine/cpu.ts'
import type { LoadRequest } from '../../../src/core/engine/instance.ts'
import type { FromWorker } from '../../../src/core/engine/messages.ts'
import { createPool, type PoolEvent } from '../../../src/core/engine/pool.ts'
import { createSimulatedClock } from '../../support/simulated-clock.ts'
import { kindOf, LOADED } from '../../support/worker-messages.ts'

const REQUEST: LoadRequest = {
  source: 'model.onnx',
  patch: [],
  data: [],
  settings: {
    providers: [{ name: 'cpu' }],
    strictProviders: false,
    session: {} as LoadRequest['settings']['session'],
    prefetch: true,
    niceness: 0,
  },
  timeoutMs: 1000,
}
const PER_INSTANCE = 100

type Fault = 'load' | 'warm-up' | 'file'

/** A pool of one busy instance in front of a line that stands, with 4 CPUs and memory for 4 instances. */
async function setUp(fault: Fault | undefined) {
  const clock = createSimulatedClock()
  const cpu = createCpuBudget(4)
  const demand = { name: 'm', min: 1, max: 4, threads: 1 }
  const grant = cpu.grant(demand)
  const events: PoolEvent[] = []
  const claims: number[] = []
  let memoryBytes = 0
  let loads = 0
  const isFurther = (): boolean => loads > 1
  const pool = createPool(
    REQUEST,
    { min: 1, max: 4, targetDelayMs: 20, idleMs: 1000, balance: 'fastest' },
    {
      clock,
      killable: true,
      open({ onMessage, onExit }): Channel {
        return {
          post(message) {
            if (kindOf(message) === 'load') {
              loads++
              const failed = { kind: 'load-failed', message: 'no', code: 'MODEL_LOAD_FAILED' } as unknown as FromWorker
              if (fault === 'load' && isFurther()) queueMicrotask(() => onExit('it died'))
              else queueMicrotask(() => onMessage(isFurther() && fault === 'load' ? failed : LOADED))
            }
          },
          kill: onExit,
          async close() {},
        }
      },
      async prepare() {
        if (fault === 'warm-up' && isFurther()) throw new Error('it must not serve')
      },
      async checkSource() {
        if (fault === 'file' && loads > 0) throw new Error('the file changed')
        return async () => {}
      },
      onSharedLost() {},
      emit: (event) => events.push(event),
      onChange() {},
      oldestWaitMs: () => 1000,
      claim(instances) {
        const most = grant.use(instances)
        claims.push(most)
        memoryBytes = most * PER_INSTANCE
        return most
      },
    },
  )
  await pool.start()
  pool.instances[0]?.run([{ inputs: {}, fetches: [] }], () => {})
  pool.queueChanged()
  return { clock, cpu, pool, events, claims, memoryBytes: () => memoryBytes }
}

describe.each(['load', 'warm-up', 'file'] as const)('where the %s of a further instance fails', (fault) => {
  test('its CPU and its memory go back, and are asked for again later, less and less often', async () => {
    const { clock, cpu, pool, events, claims, memoryBytes } = await setUp(fault)
    await clock.letPass(500)
    expect(events).toContainEqual({ type: 'scaled', instances: 2, reason: 'queue' })
    expect(events).toContainEqual(expect.objectContaining({ type: 'scaled', instances: 1, reason: 'failed' }))
    expect(pool.target).toBe(1)
    expect(claims.at(-1)).toBe(1)
    expect(memoryBytes()).toBe(PER_INSTANCE)
    // Three CPUs for another model, as before.
    const other = cpu.grant({ name: 'other', min: 1, max: 3, threads: 1 })
    expect(other.use(3)).toBe(3)
    other.release()
    await clock.letPass(60_000)
    const attempts = events.filter((event) => event.type === 'scaled' && event.reason === 'queue').length
    expect(attempts).toBeGreaterThanOrEqual(5)
    expect(attempts).toBeLessThanOrEqual(9)
    expect(pool.target).toBe(1)
    expect(claims.at(-1)).toBe(1)
    pool.kill()
  })
})

test('where nothing fails it grows to its bound, and what it has is claimed', async () => {
  const { clock, pool, claims } = await setUp(undefined)
  await clock.letPass(500)
  expect(pool.target).toBe(2)
  expect(claims.at(-1)).toBe(2)
  pool.kill()
})

test('a model that has left gives all its CPUs back', () => {
  const cpu = createCpuBudget(4)
  const grant = cpu.grant({ name: 'm', min: 1, max: 4, threads: 1 })
  expect(grant.use(4)).toBe(4)
  const other = cpu.grant({ name: 'other', min: 1, max: 4, threads: 1 })
  expect(other.use(4)).toBe(1)
  grant.release()
  expect(other.use(4)).toBe(4)
})

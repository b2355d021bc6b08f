/** The life of a model and of its worker: lost, replaced, unloaded, closed, with the events. */

import { expect } from 'vitest'
import { mlpModel } from '../../../../tools/models.mjs'
import { watch } from '../../../support/events.ts'
import { callerOf } from '../../../support/mount.ts'
import { posted } from '../../../support/server.ts'
import { constantOf, plus } from '../../../support/small-models.ts'
import { type Case, fill, floatsOf } from '../case.ts'

const X = { x: [1] }
const M = { name: 'm', source: plus(1), batching: false } as const

export const LIFE: readonly Case[] = [
  {
    name: 'a lost worker costs what it ran; what waited is run by the next one',
    async run({ hold, serve }) {
      const server = await serve([M])
      const { next } = watch(server)
      const lost = next(({ type }) => type === 'worker-lost')
      const held = hold()
      const running = server.predict('m', X)
      await posted()
      const others = await fill(server, 'm', X)
      held.crash()
      await expect(running).rejects.toMatchObject({ code: 'WORKER_LOST', status: 503, retryable: true })
      expect(await lost).toMatchObject({ model: 'm', version: '1', restartInMs: 0 })
      for (const answer of await Promise.all(others)) expect(floatsOf(answer, 'y')).toEqual(Float32Array.of(2))
      await expect.poll(() => server.health().ready).toBe(true)
      expect(floatsOf(await server.predict('m', X), 'y')).toEqual(Float32Array.of(2))
      expect(server.model('m')).toMatchObject({ state: 'ready', instances: { ready: 1, target: 1 } })
    },
  },
  {
    name: 'an idle worker that is lost comes back without a request',
    async run({ hold, serve }) {
      const server = await serve([M])
      const { next } = watch(server)
      const back = next(({ type }) => type === 'worker-ready')
      hold().crash()
      await back
      expect(floatsOf(await server.predict('m', X), 'y')).toEqual(Float32Array.of(2))
    },
  },
  {
    name: 'close() answers what was accepted, and refuses the rest',
    async run({ hold, serve, workers }) {
      const server = await serve([M])
      const held = hold()
      const accepted = await fill(server, 'm', X)
      const closing = server.close()
      await expect(server.predict('m', X)).rejects.toMatchObject({ code: 'SERVER_CLOSED' })
      held.release()
      for (const answer of await Promise.all(accepted)) expect(floatsOf(answer, 'y')).toEqual(Float32Array.of(2))
      await closing
      await expect.poll(workers).toEqual([])
    },
  },
  {
    name: 'unload() answers what was accepted, forgets the model, and gives its worker back',
    async run({ hold, serve, workers }) {
      const server = await serve([M])
      const held = hold()
      const accepted = await fill(server, 'm', X)
      const unloading = server.unload('m')
      await expect(server.predict('m', X)).rejects.toMatchObject({ status: expect.toSatisfy((s) => s === 404 || s === 503) })
      held.release()
      for (const answer of await Promise.all(accepted)) expect(floatsOf(answer, 'y')).toEqual(Float32Array.of(2))
      await unloading
      await expect(server.predict('m', X)).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
      expect(server.models()).toEqual([])
      await expect.poll(workers).toEqual([])
    },
  },
  {
    name: 'a version is replaced under load, and no request fails',
    async run({ tier, serve }) {
      const server = await serve([M])
      let goOn = true
      const seen = new Set<number>()
      const callers = Array.from({ length: 4 }, async () => {
        while (goOn) seen.add(floatsOf(await server.predict('m', X), 'y')[0] as number)
      })
      await server.load({ ...tier.settings, ...M, source: plus(10) })
      expect(floatsOf(await server.predict('m', X), 'y')).toEqual(Float32Array.of(11))
      goOn = false
      await Promise.all(callers)
      for (const value of seen) expect([2, 11]).toContain(value)
    },
  },
  {
    name: 'two versions answer side by side',
    async run({ tier, serve }) {
      const server = await serve([M])
      await server.load({ ...tier.settings, ...M, version: '2', source: plus(10) })
      const [first, second] = await Promise.all(['1', '2'].map((version) => server.predict('m', X, { version })))
      expect([floatsOf(first, 'y'), floatsOf(second, 'y')]).toEqual([Float32Array.of(2), Float32Array.of(11)])
      await server.unload('m', '2')
      expect(floatsOf(await server.predict('m', X), 'y')).toEqual(Float32Array.of(2))
    },
  },
  {
    name: 'several models under load at once',
    async run({ serve }) {
      const server = await serve(Array.from({ length: 4 }, (_, i) => ({ name: `m${i}`, source: plus(i) })))
      const answers = await Promise.all(
        Array.from({ length: 200 }, async (_, i) => {
          const answer = await server.predict(`m${i % 4}`, { x: [i] })
          return { model: answer.model, y: floatsOf(answer, 'y')[0] }
        }),
      )
      for (const [i, answer] of answers.entries()) expect(answer).toEqual({ model: `m${i % 4}`, y: i + (i % 4) })
    },
  },
  {
    name: 'an unused model leaves memory, and comes back with the next request',
    async run({ serve }) {
      const server = await serve([{ ...M, idleUnloadMs: 50 }])
      await expect.poll(() => server.model('m').resident).toBe(false)
      expect(server.model('m')).toMatchObject({ state: 'ready', instances: { ready: 0 } })
      expect(floatsOf(await server.predict('m', X), 'y')).toEqual(Float32Array.of(2))
    },
  },
  {
    name: 'events tell the states of a model, once each',
    async run({ tier, serve }) {
      const server = await serve([{ name: 'first', source: constantOf(1) }])
      const { seen } = watch(server)
      await server.load({ ...tier.settings, ...M })
      await server.unload('m')
      const states = seen.flatMap((event) => (event.type === 'model' && event.model === 'm' ? event.state : []))
      expect(states).toEqual(['loading', 'ready', 'draining', 'unloaded'])
      expect(seen.filter(({ type }) => type === 'worker-ready')).toHaveLength(1)
      expect(seen.filter(({ type }) => type === 'worker-lost')).toEqual([])
    },
  },
  {
    name: 'the facts about a model',
    async run({ tier, server }) {
      expect(server.model('mlp')).toMatchObject({
        name: 'mlp',
        version: '1',
        state: 'ready',
        isolation: tier.isolation,
        tier: { name: tier.name, reason: expect.any(String) },
        inputs: [{ name: 'features', type: 'float32', dims: ['batch', 32] }],
        outputs: [{ name: 'scores', type: 'float32', dims: ['batch', 2] }],
        instances: { ready: 1, target: 1, min: 1, max: 1, threads: expect.any(Number) },
        resident: true,
        executionProvider: 'cpu',
        memory: { perInstanceBytes: expect.any(Number), sharedBytes: 0 },
        metadata: { kind: 'mlp' },
      })
      expect(server.model('mlp').memory?.perInstanceBytes).toBeGreaterThan(0)
      expect(server.health()).toMatchObject({ live: true, ready: true })
    },
  },
  {
    name: 'statistics count answers, failures and runs of each model',
    async run({ serve }) {
      const server = await serve([M, { name: 'other', source: mlpModel() }])
      await Promise.all(Array.from({ length: 5 }, () => server.predict('m', X)))
      await server.predict('m', X, { signal: AbortSignal.abort() }).catch(() => {})
      const { json } = await callerOf(server.http.mount({ show: ['inference', 'observe'] })).get('/v2/models/m/stats')
      expect(json).toMatchObject({
        model_stats: [
          { name: 'm', inference_count: 5, execution_count: 5, inference_stats: { success: { count: 5 }, fail: { count: 1 } } },
        ],
      })
      expect(server.model('m').queue).toMatchObject({ waiting: 0, running: 0, batches: 5, rows: 5 })
      expect(server.model('other').queue).toMatchObject({ batches: 0, rows: 0 })
    },
  },
  {
    name: 'kept results need no run',
    async run({ serve }) {
      const server = await serve([{ ...M, cache: { maxBytes: 1_000_000 } }])
      const first = await server.predict('m', X)
      const again = await server.predict('m', X)
      expect([first.cached, again.cached]).toEqual([false, true])
      expect(again.outputs.y?.data).toEqual(first.outputs.y?.data)
      expect(server.model('m').queue.batches).toBe(1)
    },
  },
]

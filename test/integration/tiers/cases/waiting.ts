/** Requests that wait, and callers that do not. Workers are held, so that nothing depends on how fast a machine is. */

import type { PredictResult } from 'modelmount'
import { expect } from 'vitest'
import { posted } from '../../../support/server.ts'
import { sharedCost } from '../../../support/small-models.ts'
import { type Case, fill, floatsOf, four } from '../case.ts'

const X = { x: [1] }

/** Notes the names of answers in the order in which they come. */
function finishOrder() {
  const order: string[] = []
  return {
    order,
    note: (name: string, request: Promise<PredictResult>): Promise<unknown> => request.then(() => order.push(name)),
  }
}

export const WAITING: readonly Case[] = [
  {
    name: 'an aborted signal: no run',
    async run({ server }) {
      const before = server.model('plus').queue.batches
      await expect(server.predict('plus', X, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' })
      expect(server.model('plus').queue.batches).toBe(before)
    },
  },
  {
    name: 'an abort while it waits, and while it runs: it rejects at once, and the others are answered',
    async run({ hold, server }) {
      const held = hold()
      const leave = new AbortController()
      const running = server.predict('plus', X, { signal: leave.signal })
      await posted()
      const others = await fill(server, 'plus', X)
      const waiting = server.predict('plus', X, { signal: leave.signal })
      leave.abort()
      await expect(running).rejects.toMatchObject({ code: 'ABORTED', status: 499 })
      await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' })
      held.release()
      for (const { outputs } of await Promise.all(others)) expect(outputs.y?.data).toEqual(Float32Array.of(2))
      await expect.poll(() => server.model('plus').queue).toMatchObject({ waiting: 0, running: 0 })
    },
  },
  {
    name: 'a deadline while it waits, and while it runs',
    async run({ hold, server }) {
      const held = hold()
      const running = server.predict('plus', X, { timeoutMs: 50 })
      await posted()
      const waiting = server.predict('plus', X, { timeoutMs: 50 })
      await expect(running).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', status: 504, retryable: true })
      await expect(waiting).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
      held.release()
      expect(floatsOf(await server.predict('plus', X), 'y')).toEqual(Float32Array.of(2))
    },
  },
  {
    name: 'a full queue, and the quota of a tenant',
    async run({ hold, server }) {
      const held = hold()
      const pending = await fill(server, 'plus', X)
      const send = (tenant: string): Promise<PredictResult> => {
        const request = server.predict('plus', X, { tenant })
        request.catch(() => {})
        return request
      }
      pending.push(...Array.from({ length: 4 }, () => send('greedy')))
      await expect(send('greedy')).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED', status: 429 })
      while (server.model('plus').queue.waiting < 8) pending.push(send(`tenant-${pending.length}`))
      await expect(send('late')).rejects.toMatchObject({ code: 'QUEUE_FULL', status: 503, retryable: true })
      held.release()
      for (const answer of await Promise.all(pending)) expect(floatsOf(answer, 'y')).toEqual(Float32Array.of(2))
    },
  },
  {
    name: 'requests of one caller are answered in their order',
    async run({ hold, server }) {
      const held = hold()
      const { order, note } = finishOrder()
      const front = await fill(server, 'gather', { indices: [0] })
      const names = Array.from({ length: 20 }, (_, i) => String(i))
      const noted = names.map((name) => note(name, server.predict('gather', { indices: [1] })))
      held.release()
      await Promise.all([...front, ...noted])
      expect(order).toEqual(names)
    },
  },
  {
    name: 'a tenant with few requests does not wait behind one with many',
    async run({ hold, server }) {
      const held = hold()
      const { order, note } = finishOrder()
      const front = await fill(server, 'gather', { indices: [0] })
      const many = Array.from({ length: 30 }, () => note('many', server.predict('gather', { indices: [1] }, { tenant: 'many' })))
      const few = Array.from({ length: 3 }, () => note('few', server.predict('gather', { indices: [1] }, { tenant: 'few' })))
      held.release()
      await Promise.all([...front, ...many, ...few])
      expect(order.lastIndexOf('few')).toBeLessThan(12)
    },
  },
  {
    name: 'a high priority comes first, and a low one is not forgotten',
    async run({ hold, server }) {
      const held = hold()
      const { order, note } = finishOrder()
      const front = await fill(server, 'gather', { indices: [0] })
      const noted = (['low', 'high'] as const).flatMap((priority) =>
        Array.from({ length: 24 }, () => note(priority, server.predict('gather', { indices: [1] }, { priority }))),
      )
      held.release()
      await Promise.all([...front, ...noted])
      const middle = (name: string): number => order.flatMap((each, i) => (each === name ? i : []))[11] as number
      expect(middle('high')).toBeLessThan(middle('low'))
      expect(order.indexOf('low')).toBeLessThan(24)
    },
  },
  {
    name: 'requests that wait together share a run, but for those that must not',
    async run({ hold, serve }) {
      const server = await serve([{ name: 'm', source: sharedCost() }])
      const { enabled, maxSize } = await joining(server)
      expect(enabled).toBe(true)
      const held = hold()
      const front = await fill(server, 'm', { x: four(0) })
      const joined = Array.from({ length: 24 }, (_, i) => server.predict('m', { x: four(i) }))
      const alone = server.predict('m', { x: four(50) }, { batch: false })
      const other = server.predict('m', { x: four(60) }, { tenant: 'other' })
      held.release()
      await Promise.all(front)
      const answers = await Promise.all(joined)
      for (const [i, answer] of answers.entries()) expect(floatsOf(answer, 'y')).toEqual(four(i))
      expect(Math.max(...answers.map(({ batchSize }) => batchSize))).toBeGreaterThan(1)
      expect(Math.max(...answers.map(({ batchSize }) => batchSize))).toBeLessThanOrEqual(maxSize)
      expect(await alone).toMatchObject({ batchSize: 1, outputs: { y: { data: four(50) } } })
      expect(await other).toMatchObject({ batchSize: 1, outputs: { y: { data: four(60) } } })
    },
  },
]

/** The proof of a model may still be under way when it is ready. */
async function joining(server: Parameters<typeof fill>[0]) {
  await expect.poll(() => server.model('m').batching.enabled).toBe(true)
  return server.model('m').batching
}

/**
 * 100,000 hostile requests: shapes, names, tenants, ids and connections that never come again. The entries that remember them are counted.
 * Memory is compared once it has settled, before and after each of three parts. A leak grows in each part, and a busy machine does not.
 */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { ModelServer } from 'modelmount'
import { expect, test } from 'vitest'
import { addModel, totalModel } from '../../tools/models.mjs'
import { provedServerFor } from '../support/server.ts'
import { createRandom } from '../support/simulated-clock.ts'
import { sharedGather } from '../support/small-models.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Requests after which memory is read. */
const READINGS = [40_000, 60_000, 80_000, 100_000]
const CALLERS = 32
const MIB = 2 ** 20
/** Another 20,000 requests may not add that much. A leak of a hundred bytes a request, or of a name of that length, would. */
const MOST_HEAP_GROWTH = 1.6 * MIB
/** Of the process, which native memory and its fragments belong to. Half a kilobyte a request. */
const MOST_RESIDENT_GROWTH = 9.6 * MIB

/** The least of several readings: other activity in the process only adds to it. */
async function settledMemory(): Promise<{ readonly heap: number; readonly resident: number }> {
  let heap = Number.POSITIVE_INFINITY
  let resident = Number.POSITIVE_INFINITY
  for (let i = 0; i < 10; i++) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
    const { heapUsed, external, rss } = process.memoryUsage()
    heap = Math.min(heap, heapUsed + external)
    resident = Math.min(resident, rss)
  }
  return { heap, resident }
}

const leastGrowth = (readings: readonly number[]): number =>
  Math.min(...readings.slice(1).map((bytes, i) => bytes - (readings[i] ?? 0)))

const name = (i: number): string => `${i} ${'x'.repeat(100)}`

/** One hostile request each, of number `i`; whether it is answered or refused is all the same. */
type Hostile = (i: number) => Promise<unknown>

function kindsOf(server: ModelServer): readonly Hostile[] {
  const random = createRandom(1)
  const mount = server.http.mount({ dialects: ['open-inference', 'tf-serving', 'mlflow'] })
  const post = (path: string, body: string, connection?: symbol, more: Record<string, string> = {}) =>
    mount.handle({
      method: 'POST',
      path,
      headers: { 'content-type': 'application/json', ...more },
      body: new Uint8Array(Buffer.from(body)),
      connection,
    } as Parameters<typeof mount.handle>[0])
  const rows = (count: number): number[][] => Array.from({ length: count }, () => [1, 2, 3, 4])
  const infer = (input: string, shape: readonly number[], data: readonly number[], datatype = 'FP32'): string =>
    JSON.stringify({ inputs: [{ name: input, shape, datatype, data }] })
  return [
    // Tenants.
    (i) => server.predict('add', { a: rows(1), b: rows(1) }, { tenant: name(i) }),
    (i) => server.predict('add', { a: rows(1), b: rows(1) }, { tenant: name(i), priority: 'high' }),
    // Shapes: as many rows as never before, and lengths of an open dimension.
    (i) => server.predict('add', { a: rows(1 + (i % 700)), b: rows(1 + (i % 700)) }, { tenant: name(i % 3000) }),
    (i) => server.predict('gather', { indices: new BigInt64Array(1 + (i % 900)) }),
    // Bad values, by tenant and by connection.
    (i) => server.predict('gather', { indices: BigInt64Array.of(99n) }, { tenant: name(i) }),
    (i) => post('/v2/models/gather/infer', infer('indices', [1], [99], 'INT64'), Symbol(name(i))),
    // Names of what is not there.
    (i) => post(`/v2/models/${encodeURIComponent(name(i))}/infer`, infer('a', [1], [1])),
    (i) => post(`/v2/models/add/versions/${i}/infer`, infer('a', [1], [1])),
    (i) => post(`/${i}/${'x'.repeat(i % 3000)}`, '{}'),
    (i) => post('/v2/models/add/infer', infer(name(i), [1], [1])),
    (i) => post('/v1/models/add:predict', JSON.stringify({ [name(i)]: [1] })),
    (i) => post('/invocations', JSON.stringify({ inputs: { [name(i)]: [1] } })),
    (i) => server.predict('add', { [name(i)]: rows(1) }),
    // Ids of requests, and sequences that no caller continues.
    (i) => post('/v2/models/add/infer', '{', undefined, { 'x-request-id': name(i) }),
    (i) => server.predict('total', { x: [[i, 1]] }, { sequence: { id: name(i), start: true, end: true }, tenant: name(i) }),
    (i) => server.predict('total', { x: [[i, 1]] }, { sequence: { id: name(i), start: true }, tenant: name(i % 50) }),
    // Results that are kept: other inputs each time, for another tenant each time.
    (i) => server.predict('kept', { a: [[i, 0, 0, 0]], b: rows(1) }, { tenant: name(i) }),
    // Callers that leave, before or after they are answered, with a signal that outlives them.
    (i) => {
      const controller = new AbortController()
      const answer = server.predict('add', { a: rows(1), b: rows(1) }, { signal: controller.signal, tenant: name(i) })
      if (random() < 0.5) controller.abort()
      return answer
    },
    (i) => server.predict('add', { a: rows(1), b: rows(1) }, { timeoutMs: 1, tenant: name(i) }),
  ]
}

test('neither the heap nor the process grows with hostile requests, and what is remembered is bounded', async () => {
  const gather = {
    source: sharedGather(),
    warmup: Array.from({ length: 8 }, (_, i) => ({ indices: BigInt64Array.of(BigInt(i)) })),
  }
  const server = await provedServerFor({
    models: [
      { name: 'add', source: addModel() },
      { name: 'gather', ...gather, batching: { mixTenants: true, independentRows: true } },
      { name: 'total', source: totalModel(), sequences: { state: { s: 'next' }, maxSequences: 200 } },
      { name: 'kept', source: addModel(), cache: { maxBytes: MIB } },
    ],
  })
  const kinds = kindsOf(server)
  const codes = new Map<string, number>()
  const note = (code: string): void => void codes.set(code, (codes.get(code) ?? 0) + 1)
  let next = 0

  async function send(until: number): Promise<void> {
    const caller = async (): Promise<void> => {
      for (let i = next++; i < until; i = next++)
        await kinds[i % kinds.length]?.(i).then(
          (answer) => note(String((answer as { status?: number }).status ?? 'ok')),
          (error: { code?: string }) => note(String(error.code)),
        )
    }
    await Promise.all(Array.from({ length: CALLERS }, caller))
    next = until
  }

  const heap: number[] = []
  const resident: number[] = []
  // Everything has been there once at the first reading: code is compiled, caches and tables are as large as they get.
  for (const requests of READINGS) {
    await send(requests)
    // A run whose callers have left goes on for a moment.
    for (const { name: model } of server.models())
      await expect.poll(() => server.model(model).queue).toMatchObject({ waiting: 0, running: 0 })
    const settled = await settledMemory()
    heap.push(settled.heap)
    resident.push(settled.resident)
  }

  expect(leastGrowth(heap)).toBeLessThan(MOST_HEAP_GROWTH)
  expect(leastGrowth(resident)).toBeLessThan(MOST_RESIDENT_GROWTH)
  expect(server.model('kept').cache?.bytes).toBeLessThanOrEqual(MIB)
  expect(server.model('total').sequences?.open).toBeLessThanOrEqual(200)
  // It went to the places that it was made for, and nothing of it was a defect of ours.
  for (const code of ['ok', 'INPUT_REJECTED', 'ABORTED', 'DEADLINE_EXCEEDED', 'SEQUENCE_LIMIT', 'INPUT_INVALID', '404', '400'])
    expect([...codes.keys()]).toContain(code)
  for (const code of ['INTERNAL', 'undefined', '500']) expect(codes.get(code)).toBeUndefined()
})

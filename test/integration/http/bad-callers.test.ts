/** One caller over HTTP whose values fail: through each dialect its connection is what tells it from the others. */

import { describe, expect, test } from 'vitest'
import { provedServerFor } from '../../support/server.ts'
import { sharedGather } from '../../support/small-models.ts'

interface Dialect {
  readonly path: string
  readonly body: (index: number) => object
}

const DIALECTS: Readonly<Record<string, Dialect>> = {
  'open inference': {
    path: '/v2/models/m/infer',
    body: (index) => ({ inputs: [{ name: 'indices', shape: [1], datatype: 'INT64', data: [index] }] }),
  },
  generate: { path: '/v2/models/m/generate', body: (index) => ({ indices: [index] }) },
  'tf serving': { path: '/v1/models/m:predict', body: (index) => ({ inputs: { indices: [index] } }) },
  mlflow: { path: '/invocations', body: (index) => ({ inputs: { indices: [index] } }) },
}

describe.each(Object.entries(DIALECTS))('%s', (_, { path, body }) => {
  test('requests that follow a bad one on its connection share no run with those of others', async () => {
    // Samples that differ, so that batching can be proved; and time to meet.
    const warmup = Array.from({ length: 8 }, (_, i) => ({
      indices: { type: 'int64' as const, dims: [1], data: BigInt64Array.of(BigInt(i)) },
    }))
    const batching = { maxDelayMs: 50, independentRows: true }
    const server = await provedServerFor({ models: [{ name: 'm', source: sharedGather(), warmup, batching }], strict: true })
    expect(server.model('m').batching).toMatchObject({ enabled: true })
    const mount = server.http.mount({ dialects: ['open-inference', 'tf-serving', 'mlflow'] })
    const ask = async (index: number, connection: symbol): Promise<number> => {
      const { status } = await mount.handle({
        method: 'POST',
        path,
        headers: { 'content-type': 'application/json' },
        body: new Uint8Array(Buffer.from(JSON.stringify(body(index)))),
        connection,
      })
      return status
    }
    const [bad, good] = [Symbol('bad'), Symbol('good')]
    expect(await ask(99, bad)).toBeGreaterThanOrEqual(400)
    const before = server.model('m').queue.batches
    expect(await Promise.all([ask(1, good), ask(2, bad), ask(3, good)])).toEqual([200, 200, 200])
    // A run for the two, and one for the third.
    expect(server.model('m').queue.batches - before).toBe(2)
  })
})

/** Requests of very many rows: answered, or refused before any work. */

import { expect, test } from 'vitest'
import { cut } from '../../src/core/scheduler/batch.ts'
import type { Batching } from '../../src/core/scheduler/batching.ts'
import type { Ticket } from '../../src/core/scheduler/entry.ts'
import { inPieces } from '../../src/core/scheduler/pieces.ts'
import type { Place } from '../../src/core/scheduler/place.ts'
import { identityModel } from '../../tools/models.mjs'
import { callerOf } from '../support/mount.ts'
import { provedServerFor } from '../support/server.ts'

const rows = (count: number) => Buffer.from(new Float32Array(count).fill(1).buffer)

test('eight million rows over HTTP get 4xx or their answer, never 500', async () => {
  const model = { name: 'm', source: identityModel('float', ['N']), batching: { independentRows: true } }
  const server = await provedServerFor({ strict: true, models: [model] })
  const { post } = callerOf(server.http)
  const count = 8_000_000
  const json = JSON.stringify({
    inputs: [{ name: 'x', datatype: 'FP32', shape: [count], parameters: { binary_data_size: count * 4 } }],
    outputs: [{ name: 'y', parameters: { binary_data: true } }],
  })
  const body = Buffer.concat([Buffer.from(json), rows(count)])
  const { status } = await post('/v2/models/m/infer', body, { 'inference-header-content-length': String(json.length) })
  expect([200, 400]).toContain(status)
})

/** Cutting and joining alone. */
const piecesOf = (count: number, submitted: () => void) => {
  const batching = {
    capOf: () => 1,
    cut: (_: unknown, sizes: readonly number[]) => sizes.map(() => ({})),
    paste: () => ({}),
  } as unknown as Batching
  const ticket = { run: { inputs: {}, fetches: [] } } as unknown as Ticket
  const place = { lane: undefined, rows: count } as unknown as Place
  return inPieces(ticket, place, batching, 2, async (_, index) => {
    submitted()
    return {
      outputs: {},
      queueMs: 0,
      inferMs: 0,
      batchSize: (index % 3) + 1,
      endedAt: index,
      run: { batchId: index, runMs: 0, tier: 'worker' },
    }
  })
}

test('as many pieces as there may be are joined; one more is refused, and none of it runs', async () => {
  let runs = 0
  const count = (): void => void runs++
  expect(await piecesOf(100_000, count)).toMatchObject({ batchSize: 3, endedAt: 99_999 })
  expect(runs).toBe(100_000)
  await expect(piecesOf(100_001, count)).rejects.toMatchObject({
    code: 'INPUT_INVALID',
    details: { expected: 'at most 100000 rows', got: '100001 rows' },
  })
  expect(runs).toBe(100_000)
})

test('texts are cut out of any dimension, however many', () => {
  const data = Array.from({ length: 600_000 }, (_, i) => `${i}`)
  expect(cut(data, 2, 300_000, 50_000, 200_000)).toEqual([...data.slice(50_000, 250_000), ...data.slice(350_000, 550_000)])
})

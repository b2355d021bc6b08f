/** A request's deadline counts from its arrival: waits before the run are subtracted. */

import { expect, test } from 'vitest'
import { readBy, termsOf } from '../../../src/core/http/terms.ts'
import type { Model } from '../../../src/core/model/model.ts'

const model = { config: { timeoutMs: 1000, maxTimeoutMs: 5000 } } as Pick<Model, 'config'>
const request = (ms?: number) => ({
  method: 'POST',
  path: '/v2/models/m/infer',
  headers: ms === undefined ? {} : { 'x-request-timeout-ms': String(ms) },
})
const mount = { allowPriority: false }

test('what is left for the run is what the wait has left', () => {
  expect(termsOf(request(), model, mount, 0)).toMatchObject({ timeoutMs: 1000 })
  expect(termsOf(request(), model, mount, 400)).toMatchObject({ timeoutMs: 600 })
  expect(termsOf(request(9000), model, mount, 400)).toMatchObject({ timeoutMs: 4600 })
  expect(termsOf(request(), model, mount, 400, { timeoutMs: 500, priority: undefined })).toMatchObject({ timeoutMs: 100 })
})

test('nothing is left: no run', () => {
  for (const waitedMs of [1000, 1001])
    expect(() => termsOf(request(), model, mount, waitedMs)).toThrow(
      expect.objectContaining({ code: 'DEADLINE_EXCEEDED', status: 504 }),
    )
})

test('a body is read until the latest time that it may ask for', () => {
  expect(readBy(request(), model, 100, false)).toBe(1100)
  expect(readBy(request(), model, 100, true)).toBe(5100)
  expect(readBy(request(300), model, 100, true)).toBe(400)
  expect(readBy(request(9000), model, 100, false)).toBe(5100)
})

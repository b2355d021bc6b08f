/** Batches out of what waits, without the scheduler around them. */

import { expect, test } from 'vitest'
import { unbatched } from '../../../src/core/scheduler/batching.ts'
import { createCurve } from '../../../src/core/scheduler/curve.ts'
import { createEntry, type Entry } from '../../../src/core/scheduler/entry.ts'
import { createFairQueue } from '../../../src/core/scheduler/fair-queue.ts'
import { formBatch } from '../../../src/core/scheduler/former.ts'

test('what would come too late is dropped at no charge to its tenant', () => {
  const curve = createCurve()
  for (let i = 0; i < 10; i++) curve.observe(1, 10)
  const batching = unbatched('', curve)
  const queue = createFairQueue<Entry>()
  function push(tenant: string, deadline: number): Entry {
    const run = { inputs: {}, fetches: [] }
    const ticket = { run, enqueuedAt: 0, deadline, signal: undefined, priority: 'normal' as const, tenant, shareable: true }
    const entry = createEntry(ticket, batching.place(run, true), false)
    queue.push(entry)
    return entry
  }
  const late = [push('a', 5), push('a', 5), push('a', 5)]
  for (let i = 0; i < 3; i++) for (const tenant of ['a', 'b']) push(tenant, 1000)
  const dropped: Entry[] = []
  const served: string[] = []
  for (;;) {
    const opts = { now: 0, maxDelayMs: 0, mixTenants: false, draining: false }
    const formed = formBatch(queue, batching, opts, (entry) => dropped.push(entry))
    if (!formed || 'waitUntil' in formed) break
    served.push(...formed.batch.entries.map(({ tenant }) => tenant))
  }
  expect(dropped).toEqual(late)
  expect(served).toEqual(['a', 'b', 'a', 'b', 'a', 'b'])
})

/** Shares among tenants: a model that never forgets says whose turn it is, and forgetting must not show. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createFairQueue, type FairQueue, OUTSIDE, type Queued, WEIGHTS } from '../../../src/core/scheduler/fair-queue.ts'
import type { Priority } from '../../../src/core/scheduler/types.ts'

interface Item extends Queued<Item> {
  readonly id: number
}

let ids = 0
function itemOf(tenant: string, rows = 1, priority: Priority = 'normal', apart = false): Item {
  const id = ids++
  return { id, priority, tenant, bucket: '*', apart, rows, bytes: 10 * rows, enqueuedAt: id, waits: false, spot: OUTSIDE }
}

function serve(queue: FairQueue<Item>): Item | undefined {
  const head = queue.peek()
  if (head) queue.take(head)
  return head
}

/** The same rules with a memory without end, written down as plainly as possible. */
function createReference() {
  interface Share {
    served: number
    turn: number
    readonly items: Item[]
  }
  const levels = new Map<Priority, { served: number; now: number; readonly shares: Map<string, Share> }>()
  for (const priority of ['high', 'normal', 'low'] as const) levels.set(priority, { served: 0, now: 0, shares: new Map() })
  let turn = 0
  let now = 0
  const levelOf = ({ priority }: Item) => levels.get(priority)!
  const waits = (shares: Map<string, Share>) => [...shares.values()].filter(({ items }) => items.length > 0)
  function shareOf(item: Item): Share {
    const { shares } = levelOf(item)
    const share = shares.get(item.tenant) ?? { served: 0, turn: 0, items: [] }
    shares.set(item.tenant, share)
    return share
  }
  return {
    push(item: Item, atHead = false) {
      const level = levelOf(item)
      const share = shareOf(item)
      if (waits(level.shares).length === 0) level.served = Math.max(level.served, now)
      if (share.items.length === 0) {
        share.served = Math.max(share.served, level.now)
        share.turn = turn++
      }
      if (atHead) share.items.unshift(item)
      else share.items.push(item)
    },
    peek(): Item | undefined {
      const [level] = [...levels.values()].filter(({ shares }) => waits(shares).length > 0).sort((a, b) => a.served - b.served)
      const [share] = level ? waits(level.shares).sort((a, b) => a.served - b.served || a.turn - b.turn) : []
      // Within a tenant in order of arrival: one bucket only, here.
      return share?.items[0]
    },
    take(item: Item) {
      const level = levelOf(item)
      const share = shareOf(item)
      share.items.splice(share.items.indexOf(item), 1)
      level.now = Math.max(level.now, share.served)
      now = level.served
      share.served += item.rows
      level.served += item.rows / WEIGHTS[item.priority]
    },
    refund(item: Item) {
      shareOf(item).served -= item.rows
      levelOf(item).served -= item.rows / WEIGHTS[item.priority]
    },
    putBack(item: Item) {
      this.refund(item)
      const share = shareOf(item)
      if (share.items.length === 0) share.turn = turn++
      share.items.unshift(item)
    },
    leave(item: Item) {
      const share = shareOf(item)
      share.items.splice(share.items.indexOf(item), 1)
    },
  }
}

test('forgetting at once those who saved nothing up changes no turn', () => {
  const step = fc.record({
    kind: fc.constantFrom('push', 'push', 'push', 'serve', 'serve', 'leave', 'put back', 'refund', 'again'),
    tenant: fc.nat(12).map(String),
    rows: fc.integer({ min: 1, max: 9 }),
    priority: fc.constantFrom<Priority>('high', 'normal', 'normal', 'low'),
    which: fc.nat(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const queue = createFairQueue<Item>({ fewIdle: 0, mostIdle: Number.POSITIVE_INFINITY })
      const reference = createReference()
      const waiting: Item[] = []
      for (const { kind, tenant, rows, priority, which } of steps) {
        const head = queue.peek()
        expect(head?.id).toBe(reference.peek()?.id)
        if (kind === 'push') {
          const item = itemOf(tenant, rows, priority)
          queue.push(item)
          reference.push(item)
          waiting.push(item)
        } else if (kind === 'leave') {
          const [item] = waiting.splice(which % Math.max(1, waiting.length), 1)
          if (!item) continue
          queue.leave(item)
          reference.leave(item)
        } else if (head) {
          queue.take(head)
          reference.take(head)
          if (kind === 'put back') {
            queue.putBack(head)
            reference.putBack(head)
            continue
          }
          if (kind === 'again') {
            queue.push(head, true)
            reference.push(head, true)
            continue
          }
          if (kind === 'refund') {
            queue.refund(head)
            reference.refund(head)
          }
          waiting.splice(waiting.indexOf(head), 1)
        }
        expect(queue.count).toBe(waiting.length)
        expect(queue.rows).toBe(waiting.reduce((sum, item) => sum + item.rows, 0))
        expect(queue.bytes).toBe(waiting.reduce((sum, item) => sum + item.bytes, 0))
      }
    }),
    { numRuns: 300 },
  )
})

describe('with more tenants than are remembered', () => {
  const MOST_ROWS = 5
  /** Operations between two turns of the worker. */
  const turn = fc.record({
    strangers: fc.nat(4),
    /** Rows that the one who comes and goes asks for. */
    visitor: fc.array(fc.integer({ min: 1, max: MOST_ROWS }), { maxLength: 4 }),
    stayer: fc.integer({ min: 1, max: MOST_ROWS }),
    served: fc.nat(5),
  })

  test('no tenant gets more by leaving than by staying, over any stretch of time, and all that is remembered is bounded', () => {
    fc.assert(
      fc.property(fc.array(turn, { minLength: 20, maxLength: 200 }), (turns) => {
        const mostIdle = 8
        const queue = createFairQueue<Item>({ fewIdle: 2, mostIdle })
        const served = { visitor: 0, stayer: 0 }
        let leastLead = 0
        for (const { strangers, visitor, stayer, served: runs } of turns) {
          // Always something to do for the stayer.
          while (queue.countOf('stayer') < 6) queue.push(itemOf('stayer', stayer))
          for (let i = 0; i < strangers; i++) queue.push(itemOf(`stranger ${ids}`))
          for (const rows of visitor) queue.push(itemOf('visitor', rows))
          for (let i = 0; i < runs; i++) {
            const { tenant, rows } = serve(queue) as Item
            if (tenant === 'visitor' || tenant === 'stayer') served[tenant] += rows
            const lead = served.visitor - served.stayer
            leastLead = Math.min(leastLead, lead)
            expect(lead - leastLead).toBeLessThanOrEqual(2 * MOST_ROWS)
          }
          expect(queue.remembered).toBeLessThanOrEqual(mostIdle + queue.count)
        }
      }),
      { numRuns: 300 },
    )
  })

  test('one that is forgotten each time before it comes back gets no more than one that waits all the time', () => {
    const queue = createFairQueue<Item>({ fewIdle: 2, mostIdle: 8 })
    const served = { visitor: 0, stayer: 0 }
    for (let round = 0; round < 1000; round++) {
      while (queue.countOf('stayer') < 2) queue.push(itemOf('stayer', MOST_ROWS))
      queue.push(itemOf('visitor'))
      for (let i = 0; i < 20; i++) queue.push(itemOf(`stranger ${ids}`))
      for (let i = 0; i < 21; i++) {
        const { tenant, rows } = serve(queue) as Item
        if (tenant === 'visitor' || tenant === 'stayer') served[tenant] += rows
      }
    }
    expect(served.visitor - served.stayer).toBeLessThanOrEqual(2 * MOST_ROWS)
  })

  test('two that always wait get the same, however many others pass', () => {
    const queue = createFairQueue<Item>({ fewIdle: 2, mostIdle: 8 })
    const served = new Map<string, number>()
    for (let i = 0; i < 20_000; i++) {
      for (const tenant of ['a', 'b']) while (queue.countOf(tenant) < 4) queue.push(itemOf(tenant, tenant === 'a' ? 1 : 3))
      if (i % 3 > 0) queue.push(itemOf(`stranger ${i}`, 1 + (i % 4)))
      const { tenant, rows } = serve(queue) as Item
      served.set(tenant, (served.get(tenant) ?? 0) + rows)
    }
    const [a, b] = [served.get('a')!, served.get('b')!]
    expect(Math.abs(a - b)).toBeLessThanOrEqual(3)
    expect(a).toBeGreaterThan(1000)
  })
})

describe('100,000 tenants', () => {
  test('one after the other leave a bounded number of names', () => {
    const queue = createFairQueue<Item>()
    let most = 0
    for (let i = 0; i < 100_000; i++) {
      queue.push(itemOf(`tenant ${i}`))
      serve(queue)
      most = Math.max(most, queue.remembered)
    }
    expect(most).toBeLessThanOrEqual(1025)
  })

  test('beside one that always waits, too', () => {
    const queue = createFairQueue<Item>()
    let most = 0
    for (let i = 0; i < 100_000; i++) {
      while (queue.countOf('stayer') < 4) queue.push(itemOf('stayer'))
      queue.push(itemOf(`tenant ${i}`))
      serve(queue)
      if (i % 8 === 0) serve(queue)
      most = Math.max(most, queue.remembered - queue.count)
    }
    expect(most).toBeLessThanOrEqual(1025)
  })

  test('that all wait at once are forgotten once they were served', () => {
    const queue = createFairQueue<Item>()
    for (let i = 0; i < 100_000; i++) queue.push(itemOf(`tenant ${i}`, 1 + (i % 7)))
    while (serve(queue));
    expect(queue.remembered).toBeLessThanOrEqual(1025)
  })
})

test('a tenant that was idle has saved no share up', () => {
  const queue = createFairQueue<Item>()
  for (let i = 0; i < 1000; i++) queue.push(itemOf('busy'))
  for (let i = 0; i < 500; i++) serve(queue)
  for (let i = 0; i < 500; i++) queue.push(itemOf('late'))
  const tenants = Array.from({ length: 100 }, () => serve(queue)?.tenant)
  expect(tenants.filter((tenant) => tenant === 'late')).toHaveLength(50)
})

test('of eight runs one is of those apart while others wait, shared evenly among their tenants', () => {
  const queue = createFairQueue<Item>()
  for (let i = 0; i < 200; i++) queue.push(itemOf('good'))
  for (let i = 0; i < 40; i++) for (const tenant of ['a', 'b']) queue.push(itemOf(tenant, 1, 'high', true))
  const served = Array.from({ length: 160 }, () => {
    const head = queue.peek() as Item
    queue.take(head, true)
    return head
  })
  for (const tenant of ['a', 'b']) expect(served.filter((item) => item.tenant === tenant)).toHaveLength(10)
  for (const [i, item] of served.entries()) expect(item.apart).toBe(i % 8 === 7)
})

test('a priority that was idle has saved no share up', () => {
  const queue = createFairQueue<Item>()
  for (let i = 0; i < 1000; i++) queue.push(itemOf('', 1, 'normal'))
  for (let i = 0; i < 500; i++) serve(queue)
  for (let i = 0; i < 500; i++) queue.push(itemOf('', 1, 'low'))
  const served = Array.from({ length: 100 }, () => serve(queue)?.priority)
  expect(served.filter((priority) => priority === 'low').length).toBeLessThanOrEqual(26)
})

test('what left while it waited is not held on to, however long the one before it waits', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const queue = createFairQueue<Item>()
  queue.push(itemOf('a'))
  const gone = Array.from({ length: 10_000 }, () => {
    const item = itemOf('a')
    queue.push(item)
    queue.leave(item)
    return new WeakRef(item)
  })
  // A WeakRef keeps its target until the turn ends.
  await new Promise((resolve) => setImmediate(resolve))
  collect()
  expect(gone.filter((item) => item.deref() !== undefined).length).toBeLessThanOrEqual(100)
  expect(queue.count).toBe(1)
})

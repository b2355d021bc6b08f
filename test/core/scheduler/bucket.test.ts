/** Waiting and live entries, without holding on to others. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createBucket } from '../../../src/core/scheduler/bucket.ts'
import { createLiveSet } from '../../../src/core/scheduler/live-set.ts'

interface Item {
  readonly id: number
  waits: boolean
  place: number
}

const itemOf = (id: number): Item => ({ id, waits: true, place: 0 })

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** How many are still in memory once garbage is gone. */
async function held(items: readonly WeakRef<Item>[]): Promise<number> {
  // A WeakRef keeps its target until the turn ends.
  await new Promise((resolve) => setImmediate(resolve))
  collect()
  return items.filter((item) => item.deref() !== undefined).length
}

test('a bucket is a list without those that were settled', () => {
  const step = fc.oneof(
    fc.constant('push' as const),
    fc.constant('unshift' as const),
    fc.constant('shift' as const),
    fc.record({ settle: fc.nat(200) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const bucket = createBucket<Item>((item) => item.waits)
      let list: Item[] = []
      let id = 0
      for (const what of steps) {
        if (what === 'push') {
          list.push(itemOf(++id))
          bucket.push(list.at(-1) as Item)
        } else if (what === 'unshift') {
          list.unshift(itemOf(++id))
          bucket.unshift(list[0] as Item)
        } else if (what === 'shift') {
          const first = bucket.peek()
          expect(first).toBe(list[0])
          if (!first) continue
          first.waits = false
          bucket.shift()
          list = list.slice(1)
        } else if (list.length > 0) {
          const [gone] = list.splice(what.settle % list.length, 1)
          if (gone) gone.waits = false
          bucket.forget()
        }
        expect(bucket.last()).toBe(list.at(-1))
      }
      for (const item of list) {
        expect(bucket.peek()).toBe(item)
        item.waits = false
        bucket.shift()
      }
      expect(bucket.peek()).toBeUndefined()
    }),
  )
})

test('a bucket that is never empty does not hold what was taken from it', async () => {
  const bucket = createBucket<Item>((item) => item.waits)
  const refs: WeakRef<Item>[] = []
  const push = (id: number): void => {
    const item = itemOf(id)
    refs.push(new WeakRef(item))
    bucket.push(item)
  }
  push(0)
  for (let id = 1; id <= 500; id++) {
    push(id)
    const first = bucket.peek()
    if (first) first.waits = false
    bucket.shift()
  }
  // The last one taken may still lie on the stack.
  expect(await held(refs)).toBeLessThanOrEqual(2)
})

test('clients that give up behind one that waits do not pile up', async () => {
  const bucket = createBucket<Item>((item) => item.waits)
  const refs: WeakRef<Item>[] = []
  bucket.push(itemOf(0))
  for (let id = 1; id <= 5000; id++) {
    const item = itemOf(id)
    refs.push(new WeakRef(item))
    bucket.push(item)
    item.waits = false
    bucket.forget()
  }
  expect(await held(refs)).toBeLessThanOrEqual(200)
  expect(bucket.peek()?.id).toBe(0)
})

test('a live set lists what was added and not dropped, whatever happens while it is gone through', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.nat(200)), { maxLength: 300 }), (steps) => {
      const all = createLiveSet<Item>()
      const live = new Set<Item>()
      for (const [id, drop] of steps.entries()) {
        const dropped = drop === null ? undefined : [...live][drop % Math.max(1, live.size)]
        if (dropped) {
          all.drop(dropped)
          live.delete(dropped)
        } else {
          const item = itemOf(id)
          all.add(item)
          live.add(item)
        }
        expect(all.size).toBe(live.size)
      }
      expect(new Set(all)).toEqual(live)
      for (const item of all) all.drop(item)
      expect([...all]).toEqual([])
    }),
  )
})

test('a live set that is never empty does not hold what was dropped', async () => {
  const all = createLiveSet<Item>()
  const refs: WeakRef<Item>[] = []
  let before: Item | undefined
  for (let id = 0; id <= 500; id++) {
    const item = itemOf(id)
    refs.push(new WeakRef(item))
    all.add(item)
    if (before) all.drop(before)
    before = item
  }
  before = undefined
  // The last one taken may still lie on the stack.
  expect(await held(refs)).toBeLessThanOrEqual(2)
})

test('what was settled before the first that waits is not held once it was passed over', async () => {
  const bucket = createBucket<Item>((item) => item.waits)
  const gone = Array.from({ length: 50 }, (_, id) => {
    const item = itemOf(id)
    bucket.push(item)
    item.waits = false
    bucket.forget()
    return new WeakRef(item)
  })
  bucket.push(itemOf(100))
  expect(bucket.peek()?.id).toBe(100)
  expect(await held(gone)).toBe(0)
  expect(bucket.peek()?.id).toBe(100)
})

/** The heap against a sorted list, and how little it looks at. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createHeap, OUT } from '../../../src/core/scheduler/heap.ts'

interface Item {
  key: number
  readonly id: number
  spotInHeap: number
}

const isBefore = (a: Item, b: Item): boolean => a.key < b.key || (a.key === b.key && a.id < b.id)

test('the first is the least, whatever came, went and changed', () => {
  const step = fc.record({ kind: fc.constantFrom('add', 'remove', 'moved', 'pop'), key: fc.nat(20), which: fc.nat() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const heap = createHeap<Item>(isBefore)
      const model: Item[] = []
      for (const [id, { kind, key, which }] of steps.entries()) {
        const item = model[which % Math.max(1, model.length)]
        if (kind === 'add') {
          const added = { key, id, spotInHeap: OUT }
          heap.add(added)
          model.push(added)
        } else if (item && kind === 'moved') {
          item.key = key
          heap.moved(item)
        } else {
          const gone = kind === 'pop' ? heap.first() : item
          if (!gone) continue
          heap.remove(gone)
          model.splice(model.indexOf(gone), 1)
          expect(gone.spotInHeap).toBe(OUT)
        }
        expect(heap.size).toBe(model.length)
        expect(heap.first()).toBe([...model].sort((a, b) => (isBefore(a, b) ? -1 : 1))[0])
        expect(new Set(heap)).toEqual(new Set(model))
      }
    }),
  )
})

test('a step among 100,000 looks at some dozens', () => {
  let looks = 0
  const heap = createHeap<Item>((a, b) => {
    looks++
    return isBefore(a, b)
  })
  const items = Array.from({ length: 100_000 }, (_, id) => ({ key: (id * 7919) % 100_003, id, spotInHeap: OUT }))
  for (const item of items) heap.add(item)
  for (let i = 0; i < 1000; i++) {
    looks = 0
    const item = heap.first() as Item
    item.key += i * 100
    heap.moved(item)
    heap.remove(item)
    heap.add(item)
    expect(looks).toBeLessThanOrEqual(6 * 17)
  }
})

/** A binary heap of items that move in it: the first of many, found and corrected in a few steps however many there are. */

export interface Heaped {
  /** Maintained by the item's heap; `OUT` after its removal. */
  spotInHeap: number
}

/** The spot of an item that is in no heap. */
export const OUT = -1

/** In no particular order when iterated. */
export interface Heap<T> extends Iterable<T> {
  readonly size: number
  first(): T | undefined
  add(item: T): void
  /** Removes an item of the heap. */
  remove(item: T): void
  /** An item of the heap compares differently now. */
  moved(item: T): void
}

/** @param before true if `a` goes before `b`; a total order */
export function createHeap<T extends Heaped>(before: (a: T, b: T) => boolean): Heap<T> {
  const items: T[] = []
  const at = (spot: number): T => items[spot] as T

  function put(item: T, spot: number): void {
    items[spot] = item
    item.spotInHeap = spot
  }

  function rise(item: T): void {
    let spot = item.spotInHeap
    while (spot > 0) {
      const above = (spot - 1) >> 1
      if (!before(item, at(above))) break
      put(at(above), spot)
      spot = above
    }
    put(item, spot)
  }

  function sink(item: T): void {
    let spot = item.spotInHeap
    for (;;) {
      let below = 2 * spot + 1
      if (below >= items.length) break
      if (below + 1 < items.length && before(at(below + 1), at(below))) below++
      if (!before(at(below), item)) break
      put(at(below), spot)
      spot = below
    }
    put(item, spot)
  }

  function moved(item: T): void {
    rise(item)
    sink(item)
  }

  return {
    get size() {
      return items.length
    },
    first: () => items[0],
    add(item) {
      put(item, items.length)
      rise(item)
    },
    remove(item) {
      const spot = item.spotInHeap
      const last = items.pop() as T
      item.spotInHeap = OUT
      if (last === item) return
      put(last, spot)
      moved(last)
    },
    moved,
    [Symbol.iterator]: () => items[Symbol.iterator](),
  }
}

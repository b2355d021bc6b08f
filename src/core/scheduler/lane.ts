/** First in, first out, for requests that fit into one run together. Entries that were settled while they waited are passed over. */

export interface Lane<T> {
  /** Rows of the entries that still wait. */
  rows: number
  push(entry: T): void
  /** In front of all others. */
  unshift(entry: T): void
  /** The first entry that still waits. */
  peek(): T | undefined
  /** Drops what `peek()` gave. */
  shift(): void
  /** The last entry that still waits. */
  last(): T | undefined
}

/** Where the consumed front is cut off, so that it is not done on every request. */
const TRIM = 1024

/** @param waits false for entries that were settled or taken */
export function createLane<T>(waits: (entry: T) => boolean): Lane<T> {
  let entries: T[] = []
  let head = 0
  return {
    rows: 0,
    push(entry) {
      entries.push(entry)
    },
    unshift(entry) {
      if (head > 0) entries[--head] = entry
      else entries.unshift(entry)
    },
    peek() {
      while (head < entries.length) {
        const entry = entries[head] as T
        if (waits(entry)) return entry
        head++
      }
      entries = []
      head = 0
      return undefined
    },
    shift() {
      head++
      if (head < TRIM) return
      entries = entries.slice(head)
      head = 0
    },
    last() {
      while (entries.length > head) {
        const entry = entries.at(-1) as T
        if (waits(entry)) return entry
        entries.pop()
      }
      return undefined
    },
  }
}

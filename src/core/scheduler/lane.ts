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
  /** One entry does not wait any more, as `waits` tells. */
  forget(): void
}

/** Where the consumed front is cut off, so that it is not done on every request. */
const TRIM = 1024
/** Settled entries that may lie between the others: behind one that waits long, clients that give up and come back would pile up. */
const SLACK = 64

/** @param waits false for entries that were settled or taken */
export function createLane<T>(waits: (entry: T) => boolean): Lane<T> {
  /** Nothing is held before `head`: an entry has the request's body, and the client's connection. */
  let entries: (T | undefined)[] = []
  let head = 0
  /** Settled entries from `head` on, at most. */
  let dead = 0
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
        entries[head++] = undefined
        dead--
      }
      entries = []
      head = 0
      dead = 0
      return undefined
    },
    shift() {
      entries[head++] = undefined
      if (head < TRIM) return
      entries = entries.slice(head)
      head = 0
    },
    last() {
      while (entries.length > head) {
        const entry = entries.at(-1) as T
        if (waits(entry)) return entry
        entries.pop()
        dead--
      }
      return undefined
    },
    forget() {
      if (++dead <= SLACK || dead <= (entries.length - head) / 2) return
      entries = entries.slice(head).filter((entry) => waits(entry as T))
      head = 0
      dead = 0
    },
  }
}

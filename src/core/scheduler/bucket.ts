/** First in, first out, for requests that fit into one run together. Entries settled while waiting are skipped. */

export interface Bucket<T> {
  /** Rows of the entries that still wait. */
  rows: number
  push(entry: T): void
  /** Ahead of all others. */
  unshift(entry: T): void
  /** The first entry that still waits. */
  peek(): T | undefined
  /** Drops the entry that `peek()` returned. */
  shift(): void
  /** The last entry that still waits. */
  last(): T | undefined
  /** One entry has stopped waiting, according to `waits`. */
  forget(): void
}

/** Length at which the consumed front is cut off, so that it does not happen on every request. */
const TRIM = 1024
/** Most settled entries between the others. Behind one that waits long, clients that give up and come back would pile up. */
const SLACK = 64

/** @param waits false for settled or taken entries */
export function createBucket<T>(waits: (entry: T) => boolean): Bucket<T> {
  /** Nothing is held before `head`: an entry has the request's body, and the client's connection. */
  let entries: (T | undefined)[] = []
  let head = 0
  /** Most settled entries from `head` on. */
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

/** First in, first out per lane, a lane being the requests that fit into one run together; across lanes, the one that waits longest is next. */

export interface Lane<T> {
  /** The first live entry; dead ones before it are dropped. */
  peek(): T | undefined
  take(): void
  putBack(entry: T): void
}

export interface Lanes<T> {
  add(key: string, entry: T, atHead: boolean): void
  /** The lane whose first live entry waits longest. */
  oldest(): Lane<T> | undefined
}

/** Where the consumed front is cut off, so that it is not done on every request. */
const TRIM = 1024

interface Waiting {
  readonly enqueuedAt: number
}

function createLane<T extends Waiting>(isLive: (entry: T) => boolean) {
  let entries: T[] = []
  let head = 0
  return {
    push(entry: T) {
      entries.push(entry)
    },
    peek(): T | undefined {
      while (head < entries.length) {
        const entry = entries[head] as T
        if (isLive(entry)) return entry
        head++
      }
      entries = []
      head = 0
      return undefined
    },
    take() {
      head++
      if (head < TRIM) return
      entries = entries.slice(head)
      head = 0
    },
    putBack(entry: T) {
      if (head > 0) entries[--head] = entry
      else entries.unshift(entry)
    },
  }
}

/** @param isLive false for entries that were settled while they waited */
export function createLanes<T extends Waiting>(isLive: (entry: T) => boolean): Lanes<T> {
  const lanes = new Map<string, ReturnType<typeof createLane<T>>>()
  return {
    add(key, entry, atHead) {
      let lane = lanes.get(key)
      if (!lane) {
        lane = createLane(isLive)
        lanes.set(key, lane)
      }
      if (atHead) lane.putBack(entry)
      else lane.push(entry)
    },
    oldest() {
      let best: { lane: Lane<T>; at: number } | undefined
      for (const [key, lane] of lanes) {
        const at = lane.peek()?.enqueuedAt
        if (at === undefined) {
          // The usual lane is empty between bursts all the time; only others are worth forgetting.
          if (lanes.size > 1) lanes.delete(key)
        } else if (!best || at < best.at) best = { lane, at }
      }
      return best?.lane
    },
  }
}

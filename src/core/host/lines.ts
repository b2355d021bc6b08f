/** Queues, by key, for work that must not overlap. Each queue is bounded. */

export interface Lines {
  /**
   * Resolves on the caller's turn, with a function that ends the turn.
   * @returns `undefined` if the line is full
   */
  enter(key: string): Promise<() => void> | undefined
  /** Resolves when all callers now in line have left. */
  idle(): Promise<void>
}

/** @param maxWaiting callers behind the current one, per key */
export function createLines(maxWaiting: number): Lines {
  const lines = new Map<string, { readonly tail: Promise<void>; readonly length: number }>()

  return {
    enter(key) {
      const { tail: before, length } = lines.get(key) ?? { tail: Promise.resolve(), length: 0 }
      if (length > maxWaiting) return undefined
      let end = (): void => {}
      const mine = new Promise<void>((resolve) => {
        end = resolve
      })
      const tail = before.then(() => mine)
      lines.set(key, { tail, length: length + 1 })
      void tail.then(() => {
        const left = (lines.get(key)?.length ?? 1) - 1
        if (left === 0) lines.delete(key)
        else lines.set(key, { tail: lines.get(key)?.tail ?? tail, length: left })
      })
      return before.then(() => end)
    },
    async idle() {
      await Promise.all([...lines.values()].map(({ tail }) => tail))
    },
  }
}

/**
 * Runs one job per key at a time. Callers that arrive meanwhile share the next run, which starts after all of them have asked.
 * However many ask, at most one job runs and one waits.
 */
export function createShared<T>(work: (key: string) => Promise<T>): (key: string) => Promise<T> {
  const running = new Map<string, Promise<T>>()
  const next = new Map<string, Promise<T>>()

  function begin(key: string): Promise<T> {
    next.delete(key)
    const mine = work(key).finally(() => {
      if (running.get(key) === mine) running.delete(key)
    })
    running.set(key, mine)
    return mine
  }

  return (key) => {
    const now = running.get(key)
    if (!now) return begin(key)
    const waiting =
      next.get(key) ??
      now
        .then(
          () => {},
          () => {},
        )
        .then(() => begin(key))
    next.set(key, waiting)
    return waiting
  }
}

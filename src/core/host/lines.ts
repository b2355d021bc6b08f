/** Work that must not overlap stands in line by key; a line has an end. */

export interface Lines {
  /**
   * Resolves when it is this caller's turn, with a function that ends it.
   * @returns `undefined` when as many as may wait are waiting
   */
  enter(key: string): Promise<() => void> | undefined
  /** Resolves when everybody who is in line now has left. */
  idle(): Promise<void>
}

/** @param maxWaiting behind the one whose turn it is, for each key */
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
 * Runs one work per key at a time. Whoever asks meanwhile shares the next one, which begins after all of them have asked: however many they
 * are, at most one runs and one waits.
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

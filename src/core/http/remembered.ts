/** Answers that are kept by path. Anybody can ask for any path, so they are few and short, and those that lead nowhere are not kept. */

export interface Remembered<T> {
  find(path: string): T | undefined
  /** Paths that are kept now. */
  readonly size: number
}

export interface Bounds {
  /** Paths that are kept. */
  readonly most: number
  /** Characters of one. */
  readonly longest: number
}

export function remembering<T>(search: (path: string) => T | undefined, { most, longest }: Bounds): Remembered<T> {
  const known = new Map<string, T>()
  return {
    find(path) {
      const before = known.get(path)
      if (before !== undefined) return before
      const found = search(path)
      if (found === undefined || path.length > longest) return found
      if (known.size >= most) known.clear()
      known.set(path, found)
      return found
    },
    get size() {
      return known.size
    },
  }
}

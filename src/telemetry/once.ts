/**
 * Something that stands once, however many want it: begun for the first of them, ended with the last.
 * @param begin returns its end
 * @returns called by each that wants it; returns in turn the function by which it ceases to
 */
export function once(begin: () => () => void): () => () => void {
  let wanted = 0
  let end: (() => void) | undefined
  return () => {
    if (wanted++ === 0) end = begin()
    let isWanted = true
    return () => {
      if (!isWanted) return
      isWanted = false
      if (--wanted === 0) end?.()
    }
  }
}

/**
 * Shares one running thing among its users: begun for the first of them, ended with the last.
 * @param begin returns a function that ends it
 * @returns a function for each user; it returns the function by which that user leaves
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

/** The known word that a misspelt one probably means. */

/** Longer words are not compared: the time grows with the product of both lengths. */
const LONGEST = 64

/** @returns one of `known`, or `undefined` where none is near */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length > LONGEST) return undefined
  const lower = word.toLowerCase()
  let best: string | undefined
  let least = Math.min(3, Math.floor(word.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(lower, candidate.toLowerCase())
    if (distance >= least) continue
    best = candidate
    least = distance
  }
  return best
}

/** Letters to insert, delete, replace or swap with their neighbour. */
function editDistance(from: string, to: string): number {
  let before: number[] = []
  let above = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const isSame = from[row - 1] === to[column - 1]
      const isSwapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      const replaced = (above[column - 1] ?? 0) + (isSame ? 0 : 1)
      const shifted = 1 + Math.min(above[column] ?? 0, current[column - 1] ?? 0)
      const swapped = isSwapped ? (before[column - 2] ?? 0) + 1 : replaced
      current.push(Math.min(replaced, shifted, swapped))
    }
    before = above
    above = current
  }
  return above[to.length] ?? 0
}

/** A comparison means nothing before both sides have given the same answer. */

export function assertSame(ours: ArrayLike<number>, theirs: ArrayLike<number>): void {
  const close = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-5 + 1e-4 * Math.abs(b)
  for (let i = 0; i < Math.max(ours.length, theirs.length); i++)
    if (!close(ours[i] ?? Number.NaN, theirs[i] ?? Number.NaN))
      throw new Error(`the sides disagree at element ${i}: ${ours[i]} and ${theirs[i]}`)
}

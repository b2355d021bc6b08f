/** Some stretches of code, drawn at random: a whole room takes hours. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Long enough for a small function, so that whole blocks are changed too. */
const LINES = 12

/** Marsaglia's xorshift32: the same seed draws the same stretches. */
function createDraw(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

/** Runs in threads and processes of its own, as built: no run of the tests reaches a change in it. */
const isWorker = (stretch: string): boolean => /(?:^|[/-])worker\.ts\b/.test(stretch)

/** The files of a glob of this repository's mutation runs, all below a folder or one. */
function filesOf(glob: string): readonly string[] {
  const [folder = '', rest] = glob.split('/**/')
  if (rest === undefined) return [glob]
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(folder, file))
}

/**
 * @param glob of the files
 * @returns the places for Stryker to mutate: `file:12-23,…`
 * @throws RangeError when `count` is no whole number from 1
 */
export function sampleOf(glob: string, count: number, seed: number): string {
  if (!Number.isSafeInteger(count) || count < 1) throw new RangeError('--sample takes a whole number of stretches')
  const stretches = [...filesOf(glob)].sort().flatMap((file) => {
    const lines = readFileSync(file, 'utf8').split('\n').length
    return Array.from(
      { length: Math.ceil(lines / LINES) },
      (_, i) => `${file}:${1 + i * LINES}-${Math.min(lines, (i + 1) * LINES)}`,
    )
  })
  const draw = createDraw(seed)
  const drawn: string[] = []
  while (drawn.length < count && stretches.length > 0)
    drawn.push(...stretches.splice(draw(stretches.length), 1).filter((stretch) => !isWorker(stretch)))
  return drawn.join()
}

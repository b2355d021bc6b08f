/** Tables that are made from a list of dialects. */

import type { Dialect } from './dialect.ts'
import type { Decoder } from './operation.ts'

/** The decoders of all, by name. */
export const decodersOf = (dialects: readonly Dialect[]): ReadonlyMap<string, Decoder> =>
  new Map(dialects.flatMap(({ decoders }) => decoders.map((decoder) => [decoder.name, decoder] as const)))

/** Makes the test for the paths of a dialect. */
export function ownerOf({ roots, anyCase = false }: Pick<Dialect, 'roots' | 'anyCase'>): (path: string) => boolean {
  const exact = new Set(roots.filter((root) => !root.endsWith('*')))
  const starts = roots.filter((root) => root.endsWith('*')).map((root) => root.slice(0, -1))
  const owns = (path: string): boolean => {
    for (const start of starts) if (path.startsWith(start)) return true
    return exact.has(path)
  }
  return anyCase ? (path) => owns(path.toLowerCase()) : owns
}

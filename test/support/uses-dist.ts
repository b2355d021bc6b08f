/** Whether a test file, or what it imports, uses the build in dist/. */

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** The package by its name, which resolves to dist/, or a path into it. */
const USES = /(?:\bfrom|\bimport)\s*\(?\s*['"]modelmount(?:\/[\w/-]+)?['"]|['"`/]dist[/'"`]/
/** Leaves nothing at run time. */
const TYPES = /\b(?:import|export) type (?:\{[^}]*\}|\w+) from ['"][^'"]+['"]/g
const RELATIVE = /\bfrom ['"](\.[^'"]+)['"]|\bimport\(?\s*['"](\.[^'"]+)['"]/g

export function usesDist(file: string, seen: Set<string> = new Set()): boolean {
  if (seen.has(file)) return false
  seen.add(file)
  let code: string
  try {
    code = readFileSync(file, 'utf8').replace(TYPES, '')
  } catch {
    return false
  }
  if (USES.test(code)) return true
  const imports = [...code.matchAll(RELATIVE)].map(([, from, imported]) => join(dirname(file), from ?? imported ?? ''))
  return imports.some((path) => usesDist(path, seen))
}

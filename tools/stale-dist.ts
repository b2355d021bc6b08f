/** Whether dist/ is the build of the sources that lie beside it. */

import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

interface Aged {
  readonly file: string
  readonly mtimeMs: number
}

function filesBelow(root: string, folder: string): Aged[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name)
      return { file: path.slice(root.length).replace(/^[\\/]/, ''), mtimeMs: statSync(path).mtimeMs }
    })
}

/** Undefined when dist/ is up to date, else a sentence that says why not. */
export function staleDist(root: string): string | undefined {
  let built: Aged[]
  try {
    built = filesBelow(root, 'dist')
  } catch {
    return 'dist/ is missing: npm run build'
  }
  // Files are written one after the other: an edit during a build is newer than the first of them.
  const oldest = built.reduce<Aged | undefined>((a, b) => (a && a.mtimeMs <= b.mtimeMs ? a : b), undefined)
  if (!oldest) return 'dist/ is empty: npm run build'
  const newest = filesBelow(root, 'src').reduce<Aged | undefined>((a, b) => (a && a.mtimeMs >= b.mtimeMs ? a : b), undefined)
  if (!newest || newest.mtimeMs <= oldest.mtimeMs) return undefined
  return `dist/ is older than src/ (${newest.file} has changed since the build): npm run build`
}

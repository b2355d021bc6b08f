/** Names of the files of a model: POSIX paths relative to it. */

/** Longest name; file systems take less. */
const MAX_NAME_CHARS = 4096

/** Explains why a name could lead out of the model, or mean two things. */
export function nameProblem(name: string): string | undefined {
  if (name === '') return 'it is empty'
  if (name.length > MAX_NAME_CHARS) return `it is longer than ${MAX_NAME_CHARS} characters`
  if (name.includes('\0')) return 'it holds a NUL'
  if (name.includes('\\')) return 'it holds a backslash'
  if (name.startsWith('/')) return 'it is absolute'
  if (/^[A-Za-z]:/.test(name)) return 'it starts with a drive letter'
  const parts = name.split('/')
  if (parts.includes('')) return 'it has an empty part'
  if (parts.includes('..')) return "it has a part '..'"
  if (parts.includes('.')) return "it has a part '.'"
  return undefined
}

/**
 * The order of files in the signature format: part by part, code point by code point, so that `a/b` comes before `a.b`.
 * NUL, which no name has, sorts before everything; and UTF-8 sorts as code points do.
 */
const sortKey = (name: string): Buffer => Buffer.from(name.replaceAll('/', '\0'))

export function sortByName<T extends { readonly name: string }>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, key: sortKey(item.name) }))
    .sort((a, b) => Buffer.compare(a.key, b.key))
    .map(({ item }) => item)
}

/** A set of files and folders, with the contents of the folders. */
export function pathSet(paths: Iterable<string>): (name: string) => boolean {
  const known = new Set([...paths].map(tidy).filter((path) => path !== undefined))
  return (name) => {
    if (known.has('.')) return true
    for (let end = name.indexOf('/'); end >= 0; end = name.indexOf('/', end + 1)) if (known.has(name.slice(0, end))) return true
    return known.has(name)
  }
}

/** `./a//b/` is `a/b`; `undefined` for a path outside, which can match nothing. */
export function tidy(path: string): string | undefined {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  if (path.startsWith('/') || parts.includes('..')) return undefined
  return parts.join('/') || '.'
}

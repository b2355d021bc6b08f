/** Makes `src/core/dialects/names.ts`: names, types and paths that adapters and public types need without the dialects themselves. */

import type { Dialect } from '../src/core/dialects/index.ts'

const quoted = (text: string): string => `'${text}'`
const listed = (names: readonly string[], last: string): string =>
  names.length > 1 ? `${names.slice(0, -1).join(', ')} ${last} ${names.at(-1)}` : `${names[0]}`

/** `open-inference` -> `OpenInferenceOptions` */
const typeOf = ({ name }: Dialect): string =>
  `${name.replace(/(?:^|-)([a-z])/g, (_, letter: string) => letter.toUpperCase())}Options`

/** `below /v2`, or `at /ping and /version`. */
function placeOf({ roots }: Dialect): string {
  const start = roots.find((root) => root.endsWith('/*'))?.slice(0, -2)
  return start === undefined
    ? `at ${listed(
        roots.map((root) => `\`${root}\``),
        'and',
      )}`
    : `below \`${start}\``
}

/** @param dialects that the server has */
export function dialectNames(dialects: readonly Dialect[]): string {
  const withOptions = dialects.filter(({ options }) => Object.keys(options).length > 0)
  const imports = withOptions.map((dialect) => `import type { ${typeOf(dialect)} } from './${dialect.name}/options.ts'`)
  const places = dialects.map((dialect, at) => `\`${dialect.name}\` ${at > 0 ? '' : 'answers '}${placeOf(dialect)}`)
  const bases = withOptions.map(typeOf)
  const [first] = dialects
  return `/** Written by \`npm run generate\` from the list in \`index.ts\`. */

${imports.sort().join('\n')}

/** A request format with its own routes and its own shape of errors. */
export type HttpDialect = ${dialects.map(({ name }) => quoted(name)).join(' | ')}

/** Options of a mount that are made from the dialects. */
export interface DialectOptions${bases.length > 0 ? ` extends ${bases.join(', ')}` : ''} {
  /**
   * ${places.join(', ')}.
   * @default ['${first?.name}']
   */
  readonly dialects?: readonly HttpDialect[]
}

/** The dialects of a mount that names none. */
export const USUAL: readonly HttpDialect[] = [${quoted(first?.name ?? '')}]

/** The paths of each dialect; a final \`*\` stands for any rest. */
export const ROOTS: Readonly<Record<HttpDialect, readonly string[]>> = {
${dialects.map(({ name, roots }) => `  ${/^\w+$/.test(name) ? name : quoted(name)}: [${roots.map(quoted).join(', ')}],`).join('\n')}
}
`
}

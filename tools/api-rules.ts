/** The public types as text: the declarations of every name that the package exports, and of the types that those use. */

import { dirname, sep } from 'node:path'
import ts from 'typescript'

interface Reach {
  readonly checker: ts.TypeChecker
  /** Declarations elsewhere belong to other packages. */
  readonly folder: string
  /** Where each symbol stands in the report: the first subpath that exports it. */
  readonly homes: Map<ts.Symbol, string>
}

const printer = ts.createPrinter({ removeComments: true })

/**
 * @param entries subpath -> declaration file, all in one folder
 * @returns Markdown, the same for the same types
 */
export function apiReport(entries: ReadonlyMap<string, string>): string {
  const files = [...entries.values()]
  const program = ts.createProgram(files, {
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    target: ts.ScriptTarget.ES2022,
    skipLibCheck: true,
    types: [],
  })
  const reach: Reach = { checker: program.getTypeChecker(), folder: dirname(files[0] ?? ''), homes: new Map() }
  const sections = [...entries].map(([subpath, file]) => section(subpath, exportsOf(reach, program, file, subpath)))
  const augmentations = program
    .getSourceFiles()
    .filter(({ fileName }) => isOurs(reach, fileName))
    .flatMap((source) => source.statements.filter(ts.isModuleDeclaration).filter(isAugmentation).map(textOf))
  return [
    '# The public types',
    'Written by `npm run check:api -- --update` from the declarations of the build; comments are left out.',
    ...sections,
    section('Types that other packages get', [...new Set(augmentations)].sort()),
    section('Types without an exported name', unnamed(reach)),
    '',
  ].join('\n\n')
}

const section = (title: string, texts: readonly string[]): string => `## ${title}\n\n\`\`\`ts\n${texts.join('\n')}\n\`\`\``

const isAugmentation = ({ name }: ts.ModuleDeclaration): boolean => ts.isStringLiteral(name) || name.text === 'global'

const isOurs = ({ folder }: Reach, file: string): boolean => file.startsWith(folder.replaceAll(sep, '/'))

/** In the order of the names. Names that an earlier subpath exports take one line. */
function exportsOf({ checker, homes, ...reach }: Reach, program: ts.Program, file: string, subpath: string): string[] {
  const source = program.getSourceFile(file)
  const module = source && checker.getSymbolAtLocation(source)
  if (!module) throw new Error(`${file} exports nothing`)
  return checker
    .getExportsOfModule(module)
    .sort(byName)
    .map((exported) => {
      const symbol = resolved(checker, exported)
      const home = homes.get(symbol)
      if (home !== undefined) return `export { ${exported.name} } from '${home}'`
      homes.set(symbol, subpath)
      const alias = symbol.name === exported.name ? '' : `// as ${exported.name}\n`
      return (
        alias +
        declarationsOf({ checker, homes, ...reach }, symbol)
          .map(textOf)
          .join('\n')
      )
    })
}

/** Types that can be seen and not imported, from each other as well. */
function unnamed(reach: Reach): string[] {
  const found = new Set<ts.Symbol>()
  const waiting = [...reach.homes.keys()]
  for (let symbol = waiting.pop(); symbol; symbol = waiting.pop())
    for (const used of usedBy(reach, symbol))
      if (!reach.homes.has(used) && !found.has(used)) {
        found.add(used)
        waiting.push(used)
      }
  return [...found].sort(byName).flatMap((symbol) => declarationsOf(reach, symbol).map(textOf))
}

function usedBy(reach: Reach, symbol: ts.Symbol): ts.Symbol[] {
  const found: ts.Symbol[] = []
  const visit = (node: ts.Node): void => {
    const used = ts.isIdentifier(node) ? reach.checker.getSymbolAtLocation(node) : undefined
    const target = used && resolved(reach.checker, used)
    if (target && declarationsOf(reach, target).length > 0) found.push(target)
    ts.forEachChild(node, visit)
  }
  for (const declaration of declarationsOf(reach, symbol)) visit(declaration)
  return found
}

/** Statements of our own files that declare a symbol: members and parameters have none. */
function declarationsOf(reach: Reach, { declarations = [] }: ts.Symbol): ts.Node[] {
  return declarations
    .map((declaration) => (ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration))
    .filter((node) => ts.isSourceFile(node.parent) && isOurs(reach, node.parent.fileName))
}

const resolved = (checker: ts.TypeChecker, symbol: ts.Symbol): ts.Symbol =>
  symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol

const textOf = (node: ts.Node): string => printer.printNode(ts.EmitHint.Unspecified, node, node.getSourceFile())

const byName = (a: ts.Symbol, b: ts.Symbol): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)

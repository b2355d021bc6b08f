/** Figures that keep the sources easy to read, taken from the syntax tree, each with its limit. */

import ts from 'typescript'

/** The measured figures. A figure above the limit is an offence. */
export const RULES = {
  lines: { limit: 400, title: 'largest file', unit: 'lines' },
  function: { limit: 150, title: 'longest function', unit: 'lines' },
  lets: { limit: 7, title: 'most variables in one function', unit: '`let`s' },
  loose: { limit: 4, title: 'loose files', unit: 'files' },
  imports: { limit: 22, title: 'most imports in a file', unit: 'imports' },
  server: { limit: 250, title: 'server', unit: 'lines' },
  mutable: { limit: 8, title: 'most mutable fields of an exported type', unit: 'fields that are assigned' },
  notYet: { limit: 0, title: 'fields that are undefined for "not yet"', unit: 'fields' },
} as const satisfies Record<string, { readonly limit: number; readonly title: string; readonly unit: string }>

export type Rule = keyof typeof RULES
const ALL = Object.keys(RULES) as Rule[]

export interface Figure {
  readonly rule: Rule
  /** A file, and after a blank the name of what is in it. */
  readonly where: string
  readonly value: number
}

/** Offenders that are waiting to be mended, with the figure that they may not exceed. */
export type Known = Readonly<Record<Rule, Readonly<Record<string, number>>>>

type Assigned = ReadonlySet<string>
type TypeDeclaration = ts.InterfaceDeclaration | ts.TypeAliasDeclaration | ts.ClassDeclaration
/** By name: several files may use the same one. */
type Types = ReadonlyMap<string, readonly TypeDeclaration[]>
interface Field {
  readonly name: string
  readonly mayBeUndefined: boolean
}

/** @param files path -> text, all files of `src` */
export function measure(files: ReadonlyMap<string, string>): Figure[] {
  const sources = [...files].map(([file, text]) => ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true))
  const assigned = assignedFields(sources)
  const types = typesOf(sources)
  const loose = [...files.keys()].filter((file) => /^src\/core\/[^/]+\.ts$/.test(file)).length
  return [
    ...sources.flatMap((source) => [...ofFile(source), ...ofFunctions(source), ...ofTypes(source, types, assigned)]),
    { rule: 'loose', where: 'src/core', value: loose },
  ]
}

function ofFile(source: ts.SourceFile): Figure[] {
  const where = source.fileName
  const lines = linesOf(source.text)
  const imports = source.statements.filter(ts.isImportDeclaration).length
  const figures: Figure[] = [
    { rule: 'lines', where, value: lines },
    { rule: 'imports', where, value: imports },
  ]
  return where === 'src/core/server.ts' ? [...figures, { rule: 'server', where, value: lines }] : figures
}

const linesOf = (text: string): number => text.replace(/\n$/, '').split('\n').length

/** Length and variables of each function; one that is in another counts for the length of both, and its variables for itself. */
function ofFunctions(source: ts.SourceFile): Figure[] {
  const figures: Figure[] = []
  const visit = (node: ts.Node, names: readonly string[]): void => {
    const isFunction = ts.isFunctionLike(node) && 'body' in node && node.body !== undefined
    const inside = isFunction || ts.isClassDeclaration(node) ? [...names, nameOf(node)] : names
    if (isFunction) {
      const where = `${source.fileName} ${inside.join('.')}`
      figures.push({ rule: 'function', where, value: linesOf(node.getText()) }, { rule: 'lets', where, value: letsOf(node) })
    }
    ts.forEachChild(node, (child) => visit(child, inside))
  }
  visit(source, [])
  return figures
}

function nameOf(node: ts.Node): string {
  const { name } = (ts.isFunctionLike(node) || ts.isClassDeclaration(node) ? node : {}) as { readonly name?: ts.Node }
  if (name) return name.getText()
  const { parent } = node
  const isNamed = ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent) || ts.isPropertyDeclaration(parent)
  return isNamed ? parent.name.getText() : ts.isConstructorDeclaration(node) ? 'constructor' : '(anonymous)'
}

/** Variables that live as long as the function, or a block of it. The counter in the head of a loop is not one of them. */
function letsOf(root: ts.Node): number {
  let lets = 0
  const visit = (node: ts.Node): void => {
    if (node !== root && ts.isFunctionLike(node)) return
    if (ts.isVariableStatement(node) && node.declarationList.flags & ts.NodeFlags.Let)
      lets += node.declarationList.declarations.length
    ts.forEachChild(node, visit)
  }
  visit(root)
  return lets
}

/** Names of all fields that are assigned after the object was made: `x.name = …`, `x.name++`. */
function assignedFields(sources: readonly ts.SourceFile[]): Assigned {
  const names = new Set<string>()
  const visit = (node: ts.Node): void => {
    const target = targetOf(node)
    if (target && ts.isPropertyAccessExpression(target) && !(isThis(target.expression) && inConstructor(node)))
      names.add(target.name.text)
    ts.forEachChild(node, visit)
  }
  for (const source of sources) visit(source)
  return names
}

function targetOf(node: ts.Node): ts.Expression | undefined {
  if (ts.isBinaryExpression(node)) {
    const { kind } = node.operatorToken
    return kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment ? node.left : undefined
  }
  const isStep = (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) && node.operator !== undefined
  if (!isStep) return undefined
  const { operator, operand } = node
  return operator === ts.SyntaxKind.PlusPlusToken || operator === ts.SyntaxKind.MinusMinusToken ? operand : undefined
}

const isThis = (node: ts.Node): boolean => node.kind === ts.SyntaxKind.ThisKeyword

function inConstructor(node: ts.Node): boolean {
  for (let at: ts.Node | undefined = node; at; at = at.parent)
    if (ts.isFunctionLike(at)) return ts.isConstructorDeclaration(at) || (ts.isArrowFunction(at) && inConstructor(at.parent))
  return false
}

const isType = (node: ts.Node): node is TypeDeclaration =>
  ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node) || ts.isClassDeclaration(node)

function typesOf(sources: readonly ts.SourceFile[]): Types {
  const types = new Map<string, TypeDeclaration[]>()
  for (const node of sources.flatMap(({ statements }) => statements.filter(isType))) {
    const name = node.name?.text ?? ''
    types.set(name, [...(types.get(name) ?? []), node])
  }
  return types
}

/** Object types that other files see. */
function ofTypes(source: ts.SourceFile, types: Types, assigned: Assigned): Figure[] {
  return source.statements.filter(isType).flatMap((node) => {
    if (!node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) return []
    const where = `${source.fileName} ${node.name?.text ?? 'default'}`
    const fields = fieldsOf(node, types).filter(({ name }) => assigned.has(name))
    return [
      { rule: 'mutable' as const, where, value: new Set(fields.map(({ name }) => name)).size },
      { rule: 'notYet' as const, where, value: fields.filter(({ mayBeUndefined }) => mayBeUndefined).length },
    ]
  })
}

/** Fields that are not readonly, those of the types that it is made of included. */
function fieldsOf(node: ts.Node, types: Types): Field[] {
  if (ts.isTypeAliasDeclaration(node)) return fieldsOf(node.type, types)
  if (ts.isIntersectionTypeNode(node)) return node.types.flatMap((type) => fieldsOf(type, types))
  if (ts.isTypeReferenceNode(node)) return fieldsOfNamed(node.typeName, types)
  if (ts.isExpressionWithTypeArguments(node)) return fieldsOfNamed(node.expression, types)
  if (!(ts.isInterfaceDeclaration(node) || ts.isClassDeclaration(node) || ts.isTypeLiteralNode(node))) return []
  const inherited = ts.isTypeLiteralNode(node) ? [] : (node.heritageClauses ?? []).flatMap(({ types }) => [...types])
  const own = [...node.members].filter((member) => ts.isPropertySignature(member) || ts.isPropertyDeclaration(member))
  return [...inherited.flatMap((type) => fieldsOf(type, types)), ...own.filter(isOpen).map(fieldOf)]
}

/** Of a name that several files use, the one of this file. A reference to itself ends in nothing: its fields are counted already. */
function fieldsOfNamed(name: ts.Node, types: Types): Field[] {
  const named = types.get(name.getText()) ?? []
  const found = named.find((node) => node.getSourceFile() === name.getSourceFile()) ?? named[0]
  return found && !contains(found, name) ? fieldsOf(found, types) : []
}

const contains = (outer: ts.Node, inner: ts.Node): boolean =>
  outer.getSourceFile() === inner.getSourceFile() && outer.pos <= inner.pos && inner.end <= outer.end

type Property = ts.PropertySignature | ts.PropertyDeclaration

/** Not readonly, and not the class's own business. */
function isOpen(property: Property): boolean {
  const closed = [ts.SyntaxKind.ReadonlyKeyword, ts.SyntaxKind.PrivateKeyword, ts.SyntaxKind.StaticKeyword]
  return !ts.isPrivateIdentifier(property.name) && !property.modifiers?.some(({ kind }) => closed.includes(kind))
}

function fieldOf({ name, type, questionToken }: Property): Field {
  const parts = type && ts.isUnionTypeNode(type) ? type.types : []
  const isUndefined = parts.some(({ kind }) => kind === ts.SyntaxKind.UndefinedKeyword)
  return { name: name.getText(), mayBeUndefined: isUndefined || questionToken !== undefined }
}

/** The highest figure of a name: functions of one file may share it. */
function highest(figures: readonly Figure[], rule: Rule): Map<string, number> {
  const found = new Map<string, number>()
  for (const figure of figures)
    if (figure.rule === rule) found.set(figure.where, Math.max(found.get(figure.where) ?? 0, figure.value))
  return found
}

export interface Judgement {
  /** One for each rule. */
  readonly lines: readonly string[]
  /** Offences to mend; empty if there are none. */
  readonly problems: readonly string[]
}

export function judge(figures: readonly Figure[], known: Known): Judgement {
  const lines: string[] = []
  const problems: string[] = []
  for (const rule of ALL) {
    const { limit, title, unit } = RULES[rule]
    const found = [...highest(figures, rule)].sort((a, b) => b[1] - a[1])
    const [worst, value] = found[0] ?? ['none', 0]
    lines.push(`${title}: ${value} ${unit} (${worst}), limit ${limit}`)
    for (const [where, value] of found.filter(([, value]) => value > limit)) {
      const ceiling = known[rule][where]
      lines.push(`  ${value} ${where}${ceiling === undefined ? '' : ` (known, ${ceiling} at most)`}`)
      if (ceiling === undefined) problems.push(`${where} has ${value} ${unit}, ${limit} are allowed`)
      else if (value > ceiling) problems.push(`${where} has grown from ${ceiling} to ${value} ${unit}, ${limit} are allowed`)
    }
    for (const where of Object.keys(known[rule]))
      if (!found.some(([name, value]) => name === where && value > limit))
        problems.push(`${where} is within ${limit} ${unit} or gone: take it out of the list of known offenders`)
  }
  return { lines, problems }
}

/** The rules of `tools/words.ts`: words and sentences that comments, error sentences and documents do without. */

import ts from 'typescript'

/** Longest sentence, in words. A colon or a semicolon ends a sentence, too. */
const MAX_WORDS = 35

/** At the start of a clause. Questions, "what to do" and objects ("says what") are allowed. */
const SUBJECT = /(?:^|\b(?:because|since|but|when|while|if|where|that|although|until|unless) )(?:what(?! to\b)|who)\b(?!.*\?$)/i

/** Each pattern is tried on one sentence; the name goes into the message. */
const RULES: readonly (readonly [name: string, pattern: RegExp])[] = [
  ['a clause with "what" or "who" as its subject', SUBJECT],
  ['"whoever"', /\bwho(?:m|so)?ever\b/i],
  ['"nobody" or "somebody"', /\b(?:no|some)body\b/i],
  ['"in vain"', /\bin vain\b/i],
  ['"reckon"', /\breckon/i],
  ['"tells of"', /\b(?:tells? of|told of)\b/i],
  ['"company"', /\bcompany\b(?!')/i],
  ['"other than" where "unlike" is meant', /(?:^|, )other than\b/i],
]

/** Names of files outside the repository. The pages in docs/reference/ are inside. */
const CITED = /\b(?:design|lifecycle)\.md|(?<!docs\/)(?<!https?:\S*)\breference\/(?:[\w-]+\.md|\s)/

export interface Finding {
  readonly file: string
  readonly line: number
  readonly rule: string
  readonly sentence: string
  /** No list of known findings allows it. */
  readonly always: boolean
}

/** A piece of prose, and the line that it begins in. */
interface Prose {
  readonly line: number
  readonly text: string
}

/** @param path decides how prose is found in the text */
export function findings(path: string, text: string): Finding[] {
  const found = proseOf(path, text).flatMap(({ line, text }) =>
    sentencesOf(text).flatMap((sentence) =>
      offences(sentence).map((rule) => ({ file: path, line, rule, sentence, always: false })),
    ),
  )
  return [...found, ...citations(path, text)]
}

function offences(sentence: string): string[] {
  const found = RULES.filter(([, pattern]) => pattern.test(sentence)).map(([name]) => name)
  const words = sentence.split(/\s+/).filter((word) => /\w/.test(word)).length
  return words > MAX_WORDS ? [...found, `a sentence of ${words} words, ${MAX_WORDS} are allowed`] : found
}

function citations(file: string, text: string): Finding[] {
  if (!/^(?:src|test)\//.test(file) || file === 'test/tools/words.test.ts') return []
  return text
    .split('\n')
    .flatMap((sentence, at) =>
      CITED.test(sentence) ? [{ file, line: at + 1, rule: 'a file that is not in the repository', sentence, always: true }] : [],
    )
}

function sentencesOf(text: string): string[] {
  return text
    .replace(/`[^`]*`/g, 'CODE')
    .replace(/\bhttps?:\S+/g, 'URL')
    .replace(/\b(e\.g|i\.e|vs|etc)\./g, '$1')
    .split(/\n\s*\n|(?<=[.!?;:]["')*_]*)\s+/)
    .map((sentence) => sentence.replace(/\s+/g, ' ').trim())
    .filter((sentence) => sentence !== '')
}

function proseOf(path: string, text: string): Prose[] {
  if (path.endsWith('.md')) return markdown(text)
  if (path.endsWith('.sh')) return shell(text)
  return script(path, text)
}

/** Paragraphs, items of lists and cells of tables; no code. Headings are no sentences. */
function markdown(text: string): Prose[] {
  const prose: Prose[] = []
  let isCode = false
  let continues = false
  for (const [at, line] of text.split('\n').entries()) {
    if (/^\s*```/.test(line)) isCode = !isCode
    const isProse = !isCode && !/^\s*(?:```|#|$)/.test(line)
    const pieces = isProse ? cells(line.replace(/^\s*(?:[-*>]|\d+\.)\s+/, '').replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')) : []
    const last = prose.at(-1)
    if (continues && last && pieces.length === 1 && !/^\s*(?:[-*>|]|\d+\.)\s/.test(line))
      prose[prose.length - 1] = { line: last.line, text: `${last.text} ${pieces[0]}` }
    else prose.push(...pieces.map((text) => ({ line: at + 1, text: text.replace(/^[*_]+/, '') })))
    continues = isProse && !line.startsWith('|')
  }
  return prose
}

const cells = (line: string): string[] =>
  line.startsWith('|') ? line.split(/(?<!\\)\|/).filter((cell) => /\w/.test(cell)) : [line]

/** Comments, and what is printed. */
function shell(text: string): Prose[] {
  return text.split('\n').flatMap((line, at) => {
    const [, comment, printed] = /^\s*(?:#(?!!)\s*(.*)|echo ["'](.*)["'].*)$/.exec(line) ?? []
    return comment || printed ? [{ line: at + 1, text: comment ?? printed ?? '' }] : []
  })
}

/** Comments, and in `src` the texts that have several words. */
function script(path: string, text: string): Prose[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true)
  const comments = commentsOf(source)
  return path.startsWith('src/') ? [...comments, ...textsOf(source)] : comments
}

function commentsOf(source: ts.SourceFile): Prose[] {
  const ranges = new Map<number, ts.CommentRange>()
  const visit = (node: ts.Node): void => {
    const found = [
      ...(ts.getLeadingCommentRanges(source.text, node.pos) ?? []),
      ...(ts.getTrailingCommentRanges(source.text, node.end) ?? []),
    ]
    for (const range of found) ranges.set(range.pos, range)
    for (const child of node.getChildren(source)) if (!ts.isJSDoc(child)) visit(child)
  }
  visit(source)
  const prose: (Prose & { readonly end: number })[] = []
  for (const { pos, end, kind } of [...ranges.values()].sort((a, b) => a.pos - b.pos)) {
    const text = source.text.slice(pos, end)
    const last = prose.at(-1)
    const follows =
      last && kind === ts.SyntaxKind.SingleLineCommentTrivia && /^[ \t]*\n?[ \t]*$/.test(source.text.slice(last.end, pos))
    if (follows) prose[prose.length - 1] = { ...last, end, text: `${last.text}\n${withoutSigns(text)}` }
    else prose.push({ line: source.getLineAndCharacterOfPosition(pos).line + 1, end, text: withoutSigns(text) })
  }
  return prose
}

/** Without stars, slashes, examples and the names of tags. */
const withoutSigns = (comment: string): string =>
  comment
    .replace(/^\/\*+|\*+\/$|^\/\/+/g, '')
    .replace(/^[ \t]*\*[ \t]?/gm, '')
    .replace(/```.*?```/gs, '')
    .replace(/@example\n.*?(?=\n@|$(?![\s\S]))/gs, '')
    .replace(/(?:^|\n)\s*@(?:param\s+\S+|\w+)/g, '\n\n')

function textsOf(source: ts.SourceFile): Prose[] {
  const texts: Prose[] = []
  const add = (node: ts.Node, text: string): void => {
    if (/\w .*\w/.test(text)) texts.push({ line: source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1, text })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node)) add(node, node.text)
    if (ts.isTemplateExpression(node))
      add(node, [node.head, ...node.templateSpans.map(({ literal }) => literal)].map(({ text }) => text).join('CODE'))
    ts.forEachChild(node, visit)
  }
  visit(source)
  return texts
}

/** How many findings a file may still have. */
export type Known = Readonly<Record<string, number>>

/** One sentence for each finding that the list does not allow; empty if there are none. */
export function judge(found: readonly Finding[], known: Known): string[] {
  const counts = countsOf(found)
  const tooMany = found.filter(({ file, always }) => always || (counts[file] ?? 0) > (known[file] ?? 0))
  const lines = tooMany.map(({ file, line, rule, sentence }) => `${file}:${line} has ${rule}: ${sentence}`)
  const done = Object.keys(known).filter((file) => !counts[file])
  return [...lines, ...done.map((file) => `${file} has no findings any more or is gone: take it out of the list (--update)`)]
}

/** The list for these findings. Files may have moved, but the total may not rise. */
export function lowered(found: readonly Finding[], known: Known): Known {
  const counts = countsOf(found)
  const [before, after] = [totalOf(known), totalOf(counts)]
  if (after > before) throw new Error(`there are ${after} findings, more than the ${before} that are known`)
  return counts
}

export const totalOf = (known: Known): number => Object.values(known).reduce((sum, count) => sum + count, 0)

function countsOf(found: readonly Finding[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { file, always } of found) if (!always) counts[file] = (counts[file] ?? 0) + 1
  return counts
}

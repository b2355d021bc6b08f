/** The words and sentences that `npm run check:words` refuses, on texts made up for it. */

import { describe, expect, test } from 'vitest'
import { findings, judge, lowered } from '../../tools/word-rules.ts'

/** `line rule` of each finding. */
const found = (path: string, text: string): string[] => findings(path, text).map(({ line, rule }) => `${line} ${rule}`)
const inComment = (text: string): string[] => findings('src/a.ts', `/** ${text} */`).map(({ rule }) => rule)
const LONG = `${'word '.repeat(35)}end.`

describe('refuses', () => {
  test.each([
    ['What came is kept.', 'a clause with "what" or "who" as its subject'],
    ['Drops the rest: what is late is lost.', 'a clause with "what" or "who" as its subject'],
    ['Sorted, because what is old goes first.', 'a clause with "what" or "who" as its subject'],
    ['Who waits is answered.', 'a clause with "what" or "who" as its subject'],
    ['Kept for whoever asks.', '"whoever"'],
    ['Nobody waits.', '"nobody" or "somebody"'],
    ['It belongs to somebody else.', '"nobody" or "somebody"'],
    ['The wait was in vain.', '"in vain"'],
    ['Bytes are reckoned once.', '"reckon"'],
    ['The listener is told of it.', '"tells of"'],
    ['Waits for company.', '"company"'],
    ['Other than `a`, it counts.', '"other than" where "unlike" is meant'],
    [LONG, 'a sentence of 36 words, 35 are allowed'],
  ])('%s', (text, rule) => {
    expect(inComment(text)).toEqual([rule])
  })

  test.each([
    'Says what was expected and who asked.',
    '@param what of both',
    'What is a row?',
    'What to send.',
    'Takes nothing other than `a`.',
    '`nobody` is the user of that name.',
    `${'word '.repeat(30)}; ${'word '.repeat(30)}.`,
  ])('but not: %s', (text) => {
    expect(inComment(text)).toEqual([])
  })
})

describe('reads', () => {
  test('comments of all kinds in scripts, lines that follow each other as one text', () => {
    const text =
      '// Kept for\n// nobody.\nconst a = 1 // in vain\n/**\n * @param b kept for whoever asks\n */\nfunction f(b) { /* reckoned */ }'
    expect(found('tools/a.mjs', text)).toEqual(['1 "nobody" or "somebody"', '3 "in vain"', '4 "whoever"', '7 "reckon"'])
  })

  test('no examples', () => {
    expect(found('src/a.ts', '/**\n * Adds.\n *\n * @example\n * ask("nobody")\n * @param a somebody\n */')).toEqual([
      '1 "nobody" or "somebody"',
    ])
  })

  test('texts of several words in src, there alone, and templates as one text', () => {
    const text = 'const a = "waits in vain"\nconst b = `$' + '{a} is for nobody`\nconst c = "nobody"'
    expect(found('src/a.ts', text)).toEqual(['1 "in vain"', '2 "nobody" or "somebody"'])
    expect(found('test/a.ts', text)).toEqual([])
  })

  test('paragraphs, lists and tables of documents, but no code and no headings', () => {
    const text =
      '# What it does\n\nIt is for\nnobody.\n\n- somebody\n- waits in\n  vain\n\n```\nwhoever\n```\n\n| a | reckoned |\n'
    expect(found('docs/a.md', text)).toEqual([
      '3 "nobody" or "somebody"',
      '6 "nobody" or "somebody"',
      '7 "in vain"',
      '14 "reckon"',
    ])
  })

  test('comments and messages of shell scripts', () => {
    expect(found('findings/a.sh', '#!/bin/sh\n# for nobody\nnobody=1\necho "in vain"\n')).toEqual([
      '2 "nobody" or "somebody"',
      '4 "in vain"',
    ])
  })
})

test.each([
  ['src/a.ts', '// design.md, 4', true],
  ['test/a.ts', '// lifecycle.md says so', true],
  ['src/a.ts', '// see reference/style.md', true],
  ['src/a.ts', '// docs/reference/errors.md prints it', false],
  ['src/a.ts', '// https://protobuf.dev/reference/protobuf/', false],
  ['docs/a.md', 'reference/errors.md', false],
])('a file that the repository does not have is cited: %s, %s: %s', (path, text, isCited) => {
  const all = findings(path, text)
  expect(all.map(({ rule }) => rule)).toEqual(isCited ? ['a file that is not in the repository'] : [])
  expect(judge(all, { [path]: 1 }).some((problem) => problem.includes('not in the repository'))).toBe(isCited)
})

describe('the list of known findings', () => {
  const two = findings('src/a.ts', '// in vain\n\n// reckoned')

  test('allows as many as it says, and no more', () => {
    expect(judge(two, { 'src/a.ts': 2 })).toEqual([])
    expect(judge(two, { 'src/a.ts': 3 })).toEqual([])
    expect(judge(two, { 'src/a.ts': 1 })).toEqual(['src/a.ts:1 has "in vain": in vain', 'src/a.ts:3 has "reckon": reckoned'])
  })

  test('has no file without findings', () => {
    expect(judge([], { 'src/a.ts': 1 })).toEqual([expect.stringContaining('src/a.ts has no findings any more')])
  })

  test('follows files that moved, and never rises', () => {
    expect(lowered(two, { 'src/b.ts': 2, 'src/c.ts': 1 })).toEqual({ 'src/a.ts': 2 })
    expect(() => lowered(two, { 'src/a.ts': 1 })).toThrow('there are 2 findings, more than the 1 that are known')
  })
})

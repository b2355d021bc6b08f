/** The figures that keep the sources easy to read, on small sources made for it. */

import { describe, expect, test } from 'vitest'
import { judge, type Known, measure, RULES, type Rule } from '../../tools/house-rules.ts'

const NONE = Object.fromEntries(Object.keys(RULES).map((rule) => [rule, {}])) as Known

/** Figures of one rule, by place. */
function figures(rule: Rule, files: Readonly<Record<string, string>>): Record<string, number> {
  const found = measure(new Map(Object.entries(files))).filter((figure) => figure.rule === rule)
  return Object.fromEntries(found.map(({ where, value }) => [where, value]))
}

const file = (text: string): Readonly<Record<string, string>> => ({ 'src/a.ts': text })

describe('measures', () => {
  test('lines of a file, without an empty last one', () => {
    expect(figures('lines', { 'src/a.ts': 'a\nb\n', 'src/b.ts': 'a\nb\nc' })).toEqual({ 'src/a.ts': 2, 'src/b.ts': 3 })
  })

  test('lines of functions of all kinds, by the names that they are in', () => {
    const text = `
function outer() {
  const inner = () => {
    return 1
  }
  return { method() {}, field: function () {
  } }
}
class Box {
  constructor() {}
  run() {
    outer(() => 1)
  }
}`
    expect(figures('function', file(text))).toEqual({
      'src/a.ts outer': 7,
      'src/a.ts outer.inner': 3,
      'src/a.ts outer.method': 1,
      'src/a.ts outer.field': 2,
      'src/a.ts Box.constructor': 1,
      'src/a.ts Box.run': 3,
      'src/a.ts Box.run.(anonymous)': 1,
    })
  })

  test('declarations without a body are no functions', () => {
    expect(figures('function', file('declare function f(): void\nfunction g(): void\nfunction g() {}'))).toEqual({
      'src/a.ts g': 1,
    })
  })

  test('variables of a function, those of its blocks included, without constants, counters of loops, and nested functions', () => {
    const text = `
let outside = 0
function f() {
  let a = 0, b = 1
  const c = 2
  if (a) { let d = 3 }
  for (let i = 0; i < 2; i++) { let e = 4 }
  for (let x of []) {}
  function g() { let h = 5 }
}`
    expect(figures('lets', file(text))).toEqual({ 'src/a.ts f': 4, 'src/a.ts f.g': 1 })
  })

  test('imports of a file, types included', () => {
    expect(figures('imports', file(`import a from 'a'\nimport type { B } from './b.ts'\nexport * from './c.ts'`))).toEqual({
      'src/a.ts': 2,
    })
  })

  test('files that lie loose in the core, and the server among them', () => {
    const files = { 'src/core/server.ts': 'a\nb', 'src/core/b.ts': '', 'src/core/room/c.ts': '', 'src/index.ts': '' }
    expect(figures('loose', files)).toEqual({ 'src/core': 2 })
    expect(figures('server', files)).toEqual({ 'src/core/server.ts': 2 })
  })

  describe('mutable fields of exported types', () => {
    test('count where something assigns them', () => {
      const text = `
export interface A { readonly fixed: number; set: number; added: number; stepped: number; down: number; untouched: number; call(): void }
interface Hidden { set: number }
function f(a) { a.set = 1; a.added += 1; a.stepped++; --a.down; a.fixed === 1; a.read }`
      expect(figures('mutable', file(text))).toEqual({ 'src/a.ts A': 4 })
    })

    test('include those of the types that it is made of, in other files too', () => {
      const files = {
        'src/a.ts':
          'export interface A extends B, Local { a: number }\ninterface Local { l: number }\nexport type C = A & { c: number }',
        'src/b.ts': 'export interface B { b: number }\nfunction f(x) { x.a = x.b = x.c = x.l = 1 }',
      }
      expect(figures('mutable', files)).toEqual({ 'src/a.ts A': 3, 'src/a.ts C': 4, 'src/b.ts B': 1 })
    })

    test('of a class, what others can see and what is set after it was made', () => {
      const text = `
export class A {
  open = 0
  once: number
  readonly fixed = 0
  private own = 0
  #hidden = 0
  static all = 0
  constructor() { this.once = 1 }
  run() { this.open = 1; this.own = 1; this.#hidden = 1; A.all = 1 }
}`
      expect(figures('mutable', file(text))).toEqual({ 'src/a.ts A': 1 })
    })
  })

  test('fields that are undefined until they are assigned', () => {
    const text = `
export interface A { late: number | undefined; later?: number; readonly never: number | undefined; fixed: number; untouched?: number }
function f(a) { a.late = 1; a.later = 1; a.fixed = 1 }`
    expect(figures('notYet', file(text))).toEqual({ 'src/a.ts A': 2 })
  })
})

describe('judges', () => {
  const long = (lines: number) => measure(new Map([['src/a.ts', 'a\n'.repeat(lines)]]))

  test('a file at its limit is fine', () => {
    expect(judge(long(400), NONE).problems).toEqual([])
    expect(judge(long(400), NONE).lines).toContain('largest file: 400 lines (src/a.ts), limit 400')
  })

  test('a new offender is a problem', () => {
    expect(judge(long(401), NONE).problems).toEqual(['src/a.ts has 401 lines, 400 are allowed'])
  })

  test('a known offender may shrink and not grow', () => {
    const known = { ...NONE, lines: { 'src/a.ts': 450 } }
    expect(judge(long(450), known).problems).toEqual([])
    expect(judge(long(420), known).problems).toEqual([])
    expect(judge(long(420), known).lines).toContain('  420 src/a.ts (known, 450 at most)')
    expect(judge(long(451), known).problems).toEqual(['src/a.ts has grown from 450 to 451 lines, 400 are allowed'])
  })

  test('one that was mended or is gone leaves the list', () => {
    const known = { ...NONE, lines: { 'src/a.ts': 450, 'src/gone.ts': 500 } }
    expect(judge(long(400), known).problems).toEqual([
      'src/a.ts is within 400 lines or gone: take it out of the list of known offenders',
      'src/gone.ts is within 400 lines or gone: take it out of the list of known offenders',
    ])
  })

  test('of functions that share a name the longest counts', () => {
    const two = `const a = { run() {\n${'1\n'.repeat(160)}} }\nconst b = { run() {} }`
    expect(judge(measure(new Map([['src/a.ts', two]])), NONE).problems).toEqual(['src/a.ts run has 162 lines, 150 are allowed'])
  })
})

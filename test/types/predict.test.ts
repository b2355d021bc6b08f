/**
 * The output of typegen makes wrong calls of predict() fail to compile, with an error that names the fault, and leaves untyped models
 * alone.
 */

import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { expect, test } from 'vitest'
import { collect } from '../../src/cli/typegen/collect.ts'
import { render } from '../../src/cli/typegen/render.ts'
import { node, value, writeModel } from '../../tools/onnx-writer.mjs'
import { plant, treeFor } from '../support/tree.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** features float32 [N,4], threshold float32 [], ids int64 [N], word string [N,'W'], any float16 of any shape. */
const orders = writeModel({
  doc: 'scores orders',
  graph: {
    name: 'fraud',
    inputs: [
      value('features', 'float', ['N', 4], { doc: 'amount, country, age, count' }),
      value('threshold', 'float', []),
      value('ids', 'int64', ['N']),
      value('words', 'string', ['N', 'W']),
      value('any', 'float16'),
    ],
    outputs: [value('score', 'float', ['N', 1]), value('label', 'string', ['N', 'W']), value('flags', 'bool', ['N'])],
    nodes: [node('Identity', ['features'], ['score'])],
  },
})

/** Names that would like to be code. Those with control characters, and keys of all objects, are refused, by the server as well. */
const HOSTILE = ["'} } } declare const owned: 1 //", 'a-b', '*/ evil() /*', '$' + '{x}`', 'back\\slash', 'ünï', '1st']
const hostile = writeModel({
  doc: '*/ import "evil"',
  graph: {
    name: 'hostile',
    inputs: HOSTILE.map((name) => value(name, 'float', ['*/', 2], { doc: '*/ x' })),
    outputs: HOSTILE.map((name) => value(`o${name}`, 'float', [1])),
    nodes: [node('Identity', [HOSTILE[0] ?? ''], [`o${HOSTILE[0]}`])],
  },
})

const rest = `threshold: 0.5, ids: [1n], words: [['a']], any: [[1]]`

/** Lines of a program, and what the compiler must say of each; nothing where it must be content. */
const LINES: readonly (readonly [code: string, error?: string])[] = [
  // ---- right
  [`const all = await server.predict('orders', { features: [[1, 2, 3, 4]], ${rest} })`],
  ['const data: Float32Array = all.outputs.score.data; const one: 1 = all.outputs.score.dims[1]'],
  ['const words: readonly string[] = all.outputs.label.data; const flags: Uint8Array = all.outputs.flags.data'],
  ['const id: string = all.id; const ms: number = all.timings.totalMs'],
  [`await server.predict('orders', { features: new Float32Array(4), ${rest} }, { version: '2', priority: 'high' })`],
  [`await server.predict('orders', { features: { type: 'float32', dims: [1, 4], data: new Float32Array(4) }, ${rest} })`],
  [`const some = await server.predict('orders', { features: [[1]], ${rest} }, { outputs: ['score'] }); some.outputs.score.data`],
  [
    `await server.predict('orders', { features: [], threshold: 1, ids: new BigInt64Array(1), words: [], any: new Uint16Array(3) })`,
  ],
  [
    `const tensor = all.outputs.label; await server.predict('orders', { features: [], threshold: 1, ids: [1], words: tensor, any: 1 })`,
  ],
  // ---- untyped
  [`const untyped = await server.predict('other', { anything: [1] }); const maybe: Tensor | undefined = untyped.outputs.y`],
  [`await server.predict(name, { anything: [1] }, { outputs: ['whatever'] })`],
  [`await server.predict('orders' as string, { anything: [1] })`],
  [`const inputs: PredictInputs = { x: 1 }; await server.predict(name, inputs)`],
  // ---- wrong
  [`await server.predict('orders', { feature: [[1, 2, 3, 4]], ${rest} })`, `'feature' does not exist in type`],
  [`await server.predict('orders', { ${rest} })`, "Property 'features' is missing in type"],
  [
    `await server.predict('orders', { features: [1, 2, 3, 4], ${rest} })`,
    "Type 'number' is not assignable to type 'readonly number[]'",
  ],
  [`await server.predict('orders', { features: [[[1]]], ${rest} })`, "Type '[number]' is not assignable to type 'number'"],
  [
    `await server.predict('orders', { features: 1, ${rest} })`,
    `Type 'number' is not assignable to type 'TypedInput<"float32", [number, 4]>'`,
  ],
  [`await server.predict('orders', { features: [['1']], ${rest} })`, "Type 'string' is not assignable to type 'number'"],
  [
    `await server.predict('orders', { features: new Float64Array(4), ${rest} })`,
    `is not assignable to type 'TypedInput<"float32", [number, 4]>'`,
  ],
  [
    `await server.predict('orders', { features: { type: 'float32', dims: [1, 5], data: new Float32Array(5) }, ${rest} })`,
    `is not assignable to type 'TypedInput<"float32", [number, 4]>'`,
  ],
  [
    `await server.predict('orders', { features: { type: 'int32', dims: [1, 4], data: new Int32Array(4) }, ${rest} })`,
    `is not assignable to type 'TypedInput<"float32", [number, 4]>'`,
  ],
  [
    `await server.predict('orders', { features: [], threshold: [1], ids: [1], words: [], any: 1 })`,
    `is not assignable to type 'TypedInput<"float32", []>'`,
  ],
  // Two open sizes are two levels.
  [
    `await server.predict('orders', { features: [], threshold: 1, ids: [1], words: ['a'], any: 1 })`,
    "Type 'string' is not assignable to type 'readonly string[]'",
  ],
  [`all.outputs.scores`, "Property 'scores' does not exist on type"],
  [`some.outputs.label`, "Property 'label' does not exist on type"],
  [
    `await server.predict('orders', { features: [], ${rest} }, { outputs: ['scores'] })`,
    `Type '"scores"' is not assignable to type`,
  ],
  [`const wrong: string = all.outputs.score.data`, "is not assignable to type 'string'"],
]

/** The example of docs/predict.md: a model, calls, and the first error of each wrong one. */
const PAGE = readFileSync(join(root, 'docs/predict.md'), 'utf8')
const [, calls = '', errors = ''] =
  /```ts\n(const \{ outputs \} = await server\.predict\('fraud'.*?)```\n\n```\n(app\.ts.*?)```/s.exec(PAGE) ?? []
const shown = writeModel({
  graph: {
    name: 'fraud',
    inputs: [value('features', 'float', ['N', 4])],
    outputs: [value('score', 'float', ['N', 1])],
    nodes: [node('Identity', ['features'], ['score'])],
  },
})

const PROGRAM = `import type { ModelServer, PredictInputs, Tensor } from 'modelmount'
import type { } from './models.js'
declare const server: ModelServer
declare const name: string
export async function run() {
${LINES.map(([code]) => code).join('\n')}
  await server.predict('hostile', {})
}
`
const FIRST_LINE = 6

test('right calls compile, wrong ones do not: as an ECMAScript module and as CommonJS', async () => {
  const dir = treeFor({
    'models/orders/2/model.onnx': orders,
    'models/orders/1/model.onnx': orders,
    'models/hostile.onnx': hostile,
  })
  const types = render(await collect(join(dir, 'models')))
  mkdirSync(join(dir, 'node_modules'))
  symlinkSync(root, join(dir, 'node_modules/modelmount'), 'junction')
  for (const type of ['module', 'commonjs']) {
    mkdirSync(join(dir, type))
    writeFileSync(join(dir, type, 'package.json'), JSON.stringify({ type }))
    writeFileSync(join(dir, type, 'models.d.ts'), types)
    writeFileSync(join(dir, type, 'app.ts'), PROGRAM)
  }
  const example = treeFor({ 'models/fraud/2/model.onnx': shown })
  plant(join(dir, 'readme'), {
    'package.json': '{"type":"module"}',
    'models.d.ts': render(await collect(join(example, 'models'))),
    'app.ts': `import { createModelServer } from 'modelmount'\nconst server = await createModelServer({ repository: './models' })\n${calls}`,
  })
  const program = ts.createProgram({
    rootNames: ['module', 'commonjs', 'readme'].flatMap((type) => [join(dir, type, 'app.ts'), join(dir, type, 'models.d.ts')]),
    options: {
      module: ts.ModuleKind.NodeNext,
      target: ts.ScriptTarget.ES2022,
      lib: ['lib.es2023.d.ts'],
      strict: true,
      noUncheckedIndexedAccess: true,
      noEmit: true,
      skipLibCheck: true,
      types: ['node'],
      typeRoots: [join(root, 'node_modules/@types')],
    },
  })
  const readme = program.getSourceFile(join(dir, 'readme/app.ts'))
  const lines = new Map<number, string>()
  for (const { start = 0, code, messageText } of program.getSemanticDiagnostics(readme)) {
    const { line = 0, character = 0 } = readme?.getLineAndCharacterOfPosition(start) ?? {}
    const text = ts.flattenDiagnosticMessageText(messageText, '\n')
    if (!lines.has(line)) lines.set(line, `app.ts(${line + 1},${character + 1}): error TS${code}: ${text}\n`)
  }
  expect([...lines.values()].join('')).toBe(errors)
  expect(errors).toContain("Did you mean to write 'features'?")

  for (const type of ['module', 'commonjs']) {
    const declarations = program.getSourceFile(join(dir, type, 'models.d.ts'))
    const app = program.getSourceFile(join(dir, type, 'app.ts'))
    if (!declarations || !app) throw new Error('the program is not there')
    expect(program.getSyntacticDiagnostics(declarations)).toEqual([])
    const found = program.getSemanticDiagnostics(app)
    const errorsAt = (index: number): string =>
      found
        .filter(({ start = 0 }) => app.getLineAndCharacterOfPosition(start).line + 1 === FIRST_LINE + index)
        .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
        .join('\n')
    for (const [index, [code, error]] of LINES.entries())
      expect({ type, code, error: errorsAt(index) }).toEqual({
        type,
        code,
        error: error === undefined ? '' : expect.stringContaining(error),
      })
    // Every hostile name is a property of its own, and nothing else.
    const missing = errorsAt(LINES.length)
    expect(missing).toContain('missing the following properties')
    expect(declarations.statements.map(({ kind }) => kind)).toEqual([
      ts.SyntaxKind.ImportDeclaration,
      ts.SyntaxKind.ModuleDeclaration,
    ])
    const names: string[] = []
    const visit = (node: ts.Node): void => {
      if (ts.isPropertySignature(node) && (ts.isStringLiteral(node.name) || ts.isIdentifier(node.name)))
        names.push(node.name.text)
      ts.forEachChild(node, visit)
    }
    visit(declarations)
    expect(names).toEqual(expect.arrayContaining(HOSTILE))
  }
})

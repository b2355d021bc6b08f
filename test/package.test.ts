/** The package as npm and its users see it: exports, both module systems, version, error table. */

import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { ERROR_TABLE } from 'modelmount'
import type { Options } from 'tsup'
import ts from 'typescript'
import { describe, expect, onTestFinished, test } from 'vitest'
import { VERSION } from '../src/core/version.ts'
import tsupConfig from '../tsup.config.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const pkg = JSON.parse(read('package.json'))
const builds = tsupConfig as readonly Options[]
const entryOf = ({ entry }: Options): Record<string, string> => entry as Record<string, string>

/** The build with types is the library; the others make the command and the worker. */
const library = builds.find(({ dts }) => dts !== undefined)

describe('exports', () => {
  const workers = ['worker', 'decode-worker', 'hash-worker', 'prometheus-worker'].map((name) => `dist/workers/${name}.cjs`)
  const entries = Object.keys(library ? entryOf(library) : {})
  const subpath = (entry: string): string => (entry === 'index' ? '.' : `./${entry}`)

  test('equal the library entries of the build', () => {
    expect(entries).toContain('index')
    expect(library?.format).toEqual(['esm', 'cjs'])
    const expected = Object.fromEntries(
      entries.map((entry) => [
        subpath(entry),
        {
          import: { types: `./dist/types/${entry}.d.ts`, default: `./dist/${entry}.js` },
          require: { types: `./dist/types/${entry}.d.cts`, default: `./dist/${entry}.cjs` },
        },
      ]),
    )
    expect(pkg.exports).toEqual({ ...expected, './model.schema.json': './model.schema.json', './package.json': './package.json' })
    expect(pkg.main).toBe('./dist/index.cjs')
    expect(pkg.types).toBe('./dist/types/index.d.cts')
    // For TypeScript's older resolution, which knows no exports.
    const older = entries.filter((entry) => entry !== 'index').map((entry) => [entry, [`./dist/types/${entry}.d.cts`]])
    expect(pkg.typesVersions).toEqual({ '*': Object.fromEntries(older) })
    for (const { entry } of builds)
      for (const source of Object.values(entry as Record<string, string>)) expect(existsSync(join(root, source))).toBe(true)
  })

  test('every file is there after a build', () => {
    const built = entries.flatMap((entry) =>
      [`${entry}.js`, `${entry}.cjs`, `types/${entry}.d.ts`, `types/${entry}.d.cts`].map((file) => `dist/${file}`),
    )
    for (const file of [...built, ...workers, 'dist/cli.js', pkg.bin.modelmount])
      expect([file, existsSync(join(root, file))]).toEqual([file, true])
    expect(read('dist/cli.js')).toMatch(/^#!\/usr\/bin\/env node\n/)
    // Declarations beside code are taken for code by tools that follow a package's files.
    const beside = readdirSync(join(root, 'dist'), { recursive: true }) as string[]
    expect(beside.filter((file) => /\.d\.c?ts$/.test(file) && !file.startsWith('types'))).toEqual([])
  })

  test('what is published is there', () => {
    for (const file of pkg.files) expect([file, existsSync(join(root, file))]).toEqual([file, true])
  })

  test('what the build needs at run time is declared', () => {
    const declared = new Set([
      pkg.name,
      ...Object.keys(pkg.dependencies ?? {}),
      ...Object.keys(pkg.peerDependencies ?? {}),
      ...builtinModules,
    ])
    for (const entry of [
      ...entries.map((entry) => `${entry}.js`),
      ...entries.map((entry) => `${entry}.cjs`),
      'cli.js',
      ...workers.map((file) => file.replace('dist/', '')),
    ]) {
      const code = read(`dist/${entry}`)
      const needed = [
        ...code.matchAll(/(?:^|[\s;])(?:from|import)\s*["']([^."'][^"']*)["']|(?:require|import)\(["']([^."'][^"']*)["']\)/gm),
      ].map((match) => (match[1] ?? match[2] ?? '').replace(/^node:/, ''))
      const strangers = needed.filter((name) => !declared.has(name) && !declared.has(name.split('/')[0] ?? ''))
      expect([entry, strangers]).toEqual([entry, []])
    }
  })

  test('a bundler meets no package that may be missing', () => {
    const names = (code: string): string[] => ts.preProcessFile(code, true, true).importedFiles.map(({ fileName }) => fileName)
    const seen = new Set<string>()
    const met = new Set<string>()
    const follow = (file: string): void => {
      if (seen.has(file)) return
      seen.add(file)
      for (const name of names(read(file))) {
        if (name.startsWith('.')) follow(join(dirname(file), name))
        else if (!builtinModules.includes(name.replace(/^node:/, ''))) met.add(name)
      }
    }
    for (const entry of ['index.js', 'index.cjs', 'express.js', 'express.cjs', 'node.js', 'fetch.js', 'client.js'])
      follow(`dist/${entry}`)
    expect([...met]).toEqual(['lru-cache'])
  })

  test.each([
    ['an app in CommonJS', ts.ModuleKind.CommonJS],
    ['an app in ES modules', ts.ModuleKind.ESNext],
  ])('TypeScript’s older resolution finds the types of every subpath: %s', (_, module) => {
    const dir = mkdtempSync(join(tmpdir(), 'node10-'))
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
    mkdirSync(join(dir, 'node_modules'))
    symlinkSync(root, join(dir, 'node_modules/modelmount'))
    const specifiers = entries.map((entry) => (entry === 'index' ? 'modelmount' : `modelmount/${entry}`))
    const file = join(dir, 'app.ts')
    const imports = specifiers.map((name, i) => `import * as m${i} from '${name}'`)
    writeFileSync(
      file,
      [
        ...imports,
        "import { createModelServer } from 'modelmount'",
        "import { modelRouter } from 'modelmount/express'",
        "createModelServer({ models: [] }).then((server) => modelRouter(server, { dialects: ['mlflow'] }))",
        '// @ts-expect-error: the types are there, and are not any',
        "createModelServer({ modles: [] }).then((server) => modelRouter('server'))",
        `export default [${specifiers.map((_, i) => `m${i}`)}]`,
      ].join('\n'),
    )
    const program = ts.createProgram([file], {
      module,
      moduleResolution: ts.ModuleResolutionKind.Node10,
      target: ts.ScriptTarget.ES2022,
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      types: ['node'],
      typeRoots: [join(root, 'node_modules/@types')],
    })
    const source = program.getSourceFile(file)
    const faults = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
    expect(faults.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))).toEqual([])
  })

  test('no source is in the ES modules twice: the command uses the core that a program imports', () => {
    const built = (readdirSync(join(root, 'dist'), { recursive: true }) as string[]).filter(
      (file) => file.endsWith('.js') && !/^(types|workers)/.test(file),
    )
    const places = new Map<string, Set<string>>()
    for (const file of built)
      for (const [, source = ''] of read(join('dist', file)).matchAll(/^\/\/ (src\/\S+\.ts)$/gm))
        places.set(source, (places.get(source) ?? new Set()).add(file))
    expect(places.get('src/cli/main.ts')).toEqual(new Set(['cli.js']))
    expect(places.get('src/core/server.ts')).not.toContain('cli.js')
    expect([...places].filter(([, files]) => files.size > 1)).toEqual([])
  })

  test('adapters hold nothing of the core', () => {
    for (const entry of entries.filter((entry) => entry !== 'index' && entry !== 'client' && !entry.startsWith('telemetry')))
      for (const file of [`dist/${entry}.js`, `dist/${entry}.cjs`])
        expect([file, /class ModelmountError|function createModelServer/.test(read(file))]).toEqual([file, false])
  })
})

test('the client runs where there is only fetch: nothing of Node, of engines or of servers', () => {
  const code = read('dist/client.cjs')
  expect(code).not.toMatch(/require\(|\bBuffer\b|\bprocess\.|createModelServer/)
  expect(code.length).toBeLessThan(80_000)
})

describe('module systems', () => {
  const node = async (...args: string[]): Promise<string> =>
    (await promisify(execFile)(process.execPath, args, { cwd: root })).stdout
  const body = `
    const server = await createModelServer({ models: [{ name: 'add', source: addModel() }], strict: true, logger: false })
    const { outputs } = await server.predict('add', { a: [[1, 2, 3, 4]], b: [[10, 20, 30, 40]] })
    const errors = await server.predict('nope', {}).catch((error) => [isModelmountError(error), error.code])
    console.log(JSON.stringify({ sum: [...outputs.sum.data], errors, router: typeof modelRouter(server) }))
    await server.close()`
  const expected = { sum: [11, 22, 33, 44], errors: [true, 'MODEL_NOT_FOUND'], router: 'function' }

  test.each(['thread', 'process'])('ESM import runs a prediction (%s tier)', async (isolation) => {
    const script = `
      import { createModelServer, isModelmountError } from 'modelmount'
      import { modelRouter } from 'modelmount/express'
      import { addModel } from './tools/models.mjs'
      ${body.replace('strict: true', `strict: true, isolation: '${isolation}'`)}`
    expect(JSON.parse(await node('--input-type=module', '-e', script))).toEqual(expected)
  })

  test.each(['thread', 'process'])('CommonJS require runs a prediction (%s tier)', async (isolation) => {
    const script = `
      const { createModelServer, isModelmountError } = require('modelmount')
      const { modelRouter } = require('modelmount/express')
      import('./tools/models.mjs').then(async ({ addModel }) => { ${body.replace('strict: true', `strict: true, isolation: '${isolation}'`)} })`
    expect(JSON.parse(await node('--input-type=commonjs', '-e', script))).toEqual(expected)
  })

  test('both give the same names, and an error of one copy is known to the other', async () => {
    const script = `
      const cjs = require('modelmount')
      import('modelmount').then(async (esm) => {
        const error = await esm.createModelServer({}).catch((error) => error)
        console.log(JSON.stringify({ cjs: Object.keys(cjs).sort(), esm: Object.keys(esm).sort(), known: cjs.isModelmountError(error) }))
      })`
    const names = [
      'ERROR_TABLE',
      'ModelmountError',
      'createModelServer',
      'decryptModel',
      'encryptModel',
      'isModelmountError',
      'keysFromEnv',
      'keysFromFile',
      'keysFromJson',
      'mergeOpenApi',
      'rekeyModel',
      'signModel',
      'verifyModel',
    ]
    const { cjs, esm, known } = JSON.parse(await node('--input-type=commonjs', '-e', script))
    expect(cjs.filter((name: string) => !['default', '__esModule', 'module.exports'].includes(name))).toEqual(names)
    expect(esm).toEqual(names)
    expect(known).toBe(true)
  })
})

describe('what is written twice', () => {
  test('the version', () => {
    expect(VERSION).toBe(pkg.version)
    expect(JSON.parse(read('package-lock.json')).version).toBe(pkg.version)
  })

  test('the error table of docs/reference/errors.md: | `CODE` | status | yes/no |', () => {
    const rows = [...read('docs/reference/errors.md').matchAll(/^\|\s*`([A-Z_]+)`\s*\|\s*(\d+)\s*\|\s*(yes|no)\s*\|/gm)].map(
      ([, code, status, retryable]) => [code, Number(status), retryable === 'yes'],
    )
    expect(rows).toHaveLength(Object.keys(ERROR_TABLE).length)
    expect(Object.fromEntries(rows.map(([code, status, retryable]) => [code, { status, retryable }]))).toEqual(ERROR_TABLE)
  })

  test('the Node versions', () => {
    expect(pkg.engines.node).toBe('>=20.19')
    for (const { target } of builds) expect(target).toBe('node20')
  })
})

/** Programs of users compile against the types of the build with each major version of TypeScript that they may have. */

import { execFile, execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, expect, test } from 'vitest'
import { needs } from '../support/needs.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { exports: Record<string, unknown> }
const SUBPATHS = Object.keys(exports).filter((subpath) => !subpath.endsWith('.json'))

const dir = mkdtempSync(join(tmpdir(), 'typescript-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** Since 7, the compiler for a platform is a package of its own. */
const IS_NATIVE = needs(
  'TypeScript 7 for this platform in the npm registry',
  ['linux', 'darwin', 'win32'].includes(process.platform),
)

function compilerOf(version: string): string {
  const place = join(dir, version)
  mkdirSync(place)
  writeFileSync(join(place, 'package.json'), '{ "private": true }')
  const flags = ['--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error']
  execFileSync('npm', ['install', ...flags, `typescript@${version}`], { cwd: place, stdio: 'pipe' })
  return join(place, 'node_modules/typescript/bin/tsc')
}

/** A program in the module system of its file's name. It uses each subpath, and types that are wrong on purpose. */
const PROGRAM = [
  ...SUBPATHS.map((subpath, i) => `import * as m${i} from '${subpath.replace(/^\./, 'modelmount')}'`),
  `import { createModelServer, isModelmountError, type ModelServer, type Tensor } from 'modelmount'`,
  `import { createClient } from 'modelmount/client'`,
  `import { modelRouter } from 'modelmount/express'`,
  `export const all = [${SUBPATHS.map((_, i) => `m${i}`)}]`,
  'export async function main(): Promise<readonly number[]> {',
  `  const server: ModelServer = await createModelServer({ models: [{ name: 'add', source: './add.onnx', batching: { maxSize: 8 } }] })`,
  '  modelRouter(server)',
  `  const { outputs } = await server.predict('add', { a: [[1, 2]], b: new Float32Array(2) })`,
  '  const sum: Tensor | undefined = outputs.sum',
  `  // @ts-expect-error: an option that does not exist`,
  '  await createModelServer({ modles: [] })',
  `  // @ts-expect-error: not a server`,
  `  modelRouter('server')`,
  `  // @ts-expect-error: a client has a URL`,
  '  createClient({ url: 3 })',
  '  isModelmountError(sum)',
  '  return sum?.dims ?? []',
  '}',
].join('\n')

function consumer(name: string, file: string, compilerOptions: object): string {
  const place = join(dir, name)
  mkdirSync(join(place, 'node_modules'), { recursive: true })
  for (const module of readdirSync(join(ROOT, 'node_modules')))
    if (!module.startsWith('.')) symlinkSync(join(ROOT, 'node_modules', module), join(place, 'node_modules', module))
  symlinkSync(ROOT, join(place, 'node_modules/modelmount'))
  writeFileSync(join(place, 'package.json'), '{ "private": true }')
  writeFileSync(join(place, file), PROGRAM)
  const options = { target: 'ES2022', strict: true, noEmit: true, skipLibCheck: false, types: ['node'], ...compilerOptions }
  writeFileSync(join(place, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: [file] }))
  return place
}

// Apart: in one program, the declarations for each module system would both add to Fastify's types.
const PROGRAMS = [
  { file: 'app.mts', module: 'NodeNext', moduleResolution: 'NodeNext' },
  { file: 'app.cts', module: 'NodeNext', moduleResolution: 'NodeNext' },
  { file: 'app.ts', module: 'ESNext', moduleResolution: 'Bundler' },
]

test.for(['5.9', '7'])(
  'TypeScript %s compiles a program that uses every subpath',
  { ...IS_NATIVE, timeout: 5 * 60_000 },
  async (version) => {
    const tsc = compilerOf(version)
    for (const { file, ...options } of PROGRAMS) {
      const cwd = consumer(`${version}-${file}`, file, options)
      const { stdout } = await promisify(execFile)(process.execPath, [tsc, '-p', cwd], { cwd }).catch((error) => error)
      // Other packages answer for their own declarations.
      const ours = stdout
        .split('\n')
        .filter((line: string) => /^(app\.|\S*modelmount|\S*dist\/types)/.test(line) || line.startsWith('error'))
      expect([file, ours]).toEqual([file, []])
    }
  },
)

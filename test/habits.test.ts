/** The habits of the test run itself: skipped tests are listed, and CI runs everything. */

import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { partOf, ROOMS } from '../tools/mutation-rooms.ts'
import short, { OF_PACKAGE } from '../vitest.config.ts'
import long from '../vitest.long.config.ts'
import ofPackage from '../vitest.package.config.ts'
import { cleanEnv } from './support/node-versions.ts'
import { usesDist } from './support/uses-dist.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const TESTS = (readdirSync(join(ROOT, 'test'), { recursive: true }) as string[]).filter((file) => file.endsWith('.test.ts'))

function vitest(args: readonly string[]): { readonly stdout: string; readonly stderr: string } {
  const env = { ...cleanEnv(process.execPath), NO_COLOR: '1' }
  const command = join(ROOT, 'node_modules/vitest/vitest.mjs')
  return spawnSync(process.execPath, [command, 'run', ...args], { encoding: 'utf8', env })
}

function summary(...args: string[]): string {
  const { stdout } = vitest(['--config', join(ROOT, 'test/support/skipping/vitest.config.ts'), ...args])
  return stdout.split('\n').find((line) => line.startsWith('tests:')) ?? stdout
}

test('a run ends with one line that says what was skipped, and for lack of what', () => {
  expect(summary()).toBe(
    'tests: 2 passed, 0 failed; skipped: 5 (no unicorn, 3 tests; the moon is not full; no reason given by says nothing)',
  )
})

test('tests whose names were not asked for are not counted as skipped', () => {
  expect(summary('-t', 'passes')).toBe('tests: 1 passed, 0 failed; skipped: 3 (no unicorn, 3 tests)')
})

describe('a build that is older than the sources', () => {
  /** A project with our set-up, a test that uses dist/ by way of another file, and one that does not. */
  function project(): { readonly dir: string; file(path: string, text: string, mtime: number): void; run(): string } {
    const dir = mkdtempSync(join(tmpdir(), 'habits-'))
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
    symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'))
    const at = (path: string): string => JSON.stringify(join(ROOT, 'test/support', path))
    const test = { include: ['*.test.ts'], globalSetup: 'G', setupFiles: 'S', reporters: ['default', 'R'] }
    const config = JSON.stringify({ test }).replace('"G"', at('build-age.ts')).replace('"S"', at('fresh-dist.ts'))
    writeFileSync(join(dir, 'vitest.config.ts'), `export default ${config.replace('"R"', at('summary.ts'))}`)
    writeFileSync(join(dir, 'uses.test.ts'), "import './support.ts'\nimport { test } from 'vitest'\ntest('uses', () => {})\n")
    writeFileSync(join(dir, 'support.ts'), "export const DIST = new URL('./dist/index.js', import.meta.url)\n")
    writeFileSync(join(dir, 'free.test.ts'), "import { test } from 'vitest'\ntest('free', () => {})\n")
    return {
      dir,
      file(path, text, mtime) {
        mkdirSync(join(dir, path, '..'), { recursive: true })
        writeFileSync(join(dir, path), text)
        utimesSync(join(dir, path), mtime, mtime)
      },
      run() {
        const { stdout, stderr } = vitest(['--root', dir])
        return stdout + stderr
      },
    }
  }

  test('keeps tests that use it from running, and no others', () => {
    const { file, run } = project()
    file('src/a.ts', '', 1000)
    file('dist/index.js', '', 2000)
    expect(run()).toContain('tests: 2 passed, 0 failed')
    file('src/a.ts', '', 3000)
    expect(run()).toContain('tests: 1 passed, 0 failed, 1 file not run')
  })

  test('is told of in plain words', () => {
    const { file, run } = project()
    file('src/a.ts', '', 3000)
    file('dist/index.js', '', 2000)
    const text = run()
    expect(text).toContain('this test uses dist/, and dist/ is older than src/')
    expect(text).toContain('npm run build')
  })

  test.each([
    ['integration/predict.test.ts', true],
    ['exit/exit.long.test.ts', true],
    ['readme.test.ts', true],
    ['cli/serve.long.test.ts', true],
    ['core/scheduler/heap.test.ts', false],
    ['core/model-schema.test.ts', false],
    ['imports.test.ts', false],
  ])('is used by %s: %s', (file, uses) => {
    expect(usesDist(join(ROOT, 'test', file))).toBe(uses)
  })
})

test('no test skips without naming what it needs', () => {
  const silent = TESTS.filter((file) => {
    const text = readFileSync(join(ROOT, 'test', file), 'utf8')
    return /\b(test|it|describe)\.(skipIf|runIf|skip|todo)\b/.test(text) && file !== 'habits.test.ts'
  })
  expect(silent).toEqual([])
})

test('CI checks, tests, and tests for long', () => {
  const commands = readFileSync(join(ROOT, '.ci/run'), 'utf8').match(/^npm .*/gm)
  expect(commands).toEqual(['npm ci --no-audit --no-fund', 'npm run check', 'npm test', 'npm run test:long'])
})

test('every test belongs to exactly one of the three runs', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
  expect(scripts['test:long']).toContain('--config vitest.long.config.ts')
  const slow = 'test/**/*.long.test.ts'
  expect(scripts.check).toContain('npm run check:package')
  expect(scripts['check:package']).toContain('--config vitest.package.config.ts')
  expect(OF_PACKAGE).toEqual(['test/package.test.ts', 'test/types/**/*.test.ts'])
  // On other versions of Node they are one run.
  const elsewhere = process.env.SUITE === 'whole' ? [] : [slow, ...OF_PACKAGE]
  expect(short.test).toMatchObject({ include: ['test/**/*.test.ts'], exclude: ['test/long/**', ...elsewhere] })
  expect(ofPackage.test).toMatchObject({ include: OF_PACKAGE, exclude: [] })
  expect(long.test).toMatchObject({ include: ['test/long/**/*.test.ts', slow], exclude: [], maxWorkers: 1 })
  expect(TESTS.filter((file) => file.startsWith('long'))).toContain(join('long', 'node-versions.test.ts'))
})

test.each(Object.entries(ROOMS))('a mutation run of %s has sources to change and tests to run', (name, { folder, near, far }) => {
  expect(partOf(name).mutate).toBe(`src/${folder}/**/*.ts`)
  expect(existsSync(join(ROOT, 'src', folder))).toBe(true)
  const files = TESTS.map((file) => posix.join('test', file.replaceAll('\\', '/')))
  for (const glob of [...near, ...far]) expect(files.some((file) => matchesGlob(file, glob))).toBe(true)
})

test('a mutation run may be of one file; an unknown room is refused by name', () => {
  expect(partOf('cache/key').mutate).toBe('src/core/cache/key.ts')
  expect(partOf('registry/triton/settings').mutate).toBe('src/core/registry/triton/settings.ts')
  for (const name of ['', 'toString', 'http']) expect(() => partOf(name)).toThrow('rooms are scheduler, engine, cache')
})

/** Globs with one star, within a folder. */
function matchesGlob(file: string, glob: string): boolean {
  const [start = '', end = ''] = glob.split('*')
  return file.startsWith(start) && file.endsWith(end) && posix.dirname(file) === posix.dirname(glob)
}

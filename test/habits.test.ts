/** The habits of the test run itself: what is skipped is said, and CI runs everything. */

import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { partOf, ROOMS } from '../tools/mutation-rooms.ts'
import long from '../vitest.long.config.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const TESTS = (readdirSync(join(ROOT, 'test'), { recursive: true }) as string[]).filter((file) => file.endsWith('.test.ts'))

function summary(...args: string[]): string {
  const config = join(ROOT, 'test/support/skipping/vitest.config.ts')
  const vitest = join(ROOT, 'node_modules/vitest/vitest.mjs')
  const { stdout } = spawnSync(process.execPath, [vitest, 'run', '--config', config, ...args], {
    encoding: 'utf8',
    env: { ...process.env, CI: 'true' },
  })
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

test('every test belongs to exactly one of the two runs', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
  expect(scripts['test:long']).toContain('--config vitest.long.config.ts')
  expect(long.test).toMatchObject({ include: ['test/long/**/*.test.ts'], exclude: [], maxWorkers: 1 })
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

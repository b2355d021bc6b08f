/** Which bytes a version is: over random histories of its files, and what happens to them in the middle of a load. */

import { createHash, randomUUID } from 'node:crypto'
import { readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Content, openContent } from '../../../src/core/integrity/content.ts'
import { manifestIdOf } from '../../../src/core/integrity/index.ts'
import { plant, treeFor } from '../../support/tree.ts'

const A = 'the bytes that were loaded'
const B = 'as many of another model..'
const W = 'weights'

/** A clock by which no file was changed lately, or each. */
const settled = { wallNow: () => Date.now() + 3_600_000 }
const fresh = { wallNow: () => Date.now() }

async function loadedFrom(dir: string, deps = settled): Promise<Content> {
  const content = await openContent(join(dir, 'm.onnx'), deps)
  await content.begin(new Map([['w.bin', join(dir, 'w.bin')]]))
  await (await content.open())()
  return content
}

/** Outcome of a worker that starts now; `during` happens while it loads. */
const startOf = (content: Content, during = (): void => {}): Promise<string> =>
  content
    .open()
    .then((confirm) => {
      during()
      return confirm()
    })
    .then(
      () => 'started',
      (error: Error) => error.message,
    )

const DEEDS: Readonly<Record<string, (path: string) => void>> = {
  touch: (path) => utimesSync(path, 1, 1),
  write: (path) => writeFileSync(path, A),
  other: (path) => writeFileSync(path, B),
  'other at the same time'(path) {
    const { atime, mtime } = statSync(path, { throwIfNoEntry: false }) ?? { atime: 1, mtime: 1 }
    writeFileSync(path, B)
    utimesSync(path, atime, mtime)
  },
  longer: (path) => writeFileSync(path, `${A}!`),
  empty: (path) => writeFileSync(path, ''),
  remove: (path) => rmSync(path, { force: true }),
  replace(path) {
    writeFileSync(`${path}.new`, A)
    renameSync(`${path}.new`, path)
  },
}

describe('a worker that starts later', () => {
  test.each([
    ['settled', settled],
    ['fresh', fresh],
  ] as const)('gets the bytes that were loaded or none, whatever happened to the files (%s)', async (_, deps) => {
    const root = treeFor({})
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(...Object.keys(DEEDS)), { maxLength: 8 }), async (history) => {
        const dir = join(root, randomUUID())
        const path = join(dir, 'm.onnx')
        plant(dir, { 'm.onnx': A, 'w.bin': W })
        const content = await loadedFrom(dir, deps)
        for (const deed of history) {
          if (deed === 'touch' && !statSync(path, { throwIfNoEntry: false })) continue
          DEEDS[deed]?.(path)
          const bytes = statSync(path, { throwIfNoEntry: false }) && readFileSync(path, 'utf8')
          const outcome = await startOf(content)
          if (bytes === A) expect(outcome).toBe('started')
          else
            expect(outcome).toMatch(
              /^the model changed on disk since it was loaded: its file (is not there|has \d+ bytes|holds other)/,
            )
          expect(await content.isUnchanged()).toBe(bytes === A)
        }
      }),
      { numRuns: 60 },
    )
  })

  test('is refused for its external data as well, which is named without a path', async () => {
    const dir = treeFor({ 'm.onnx': A, 'w.bin': W })
    const content = await loadedFrom(dir)
    writeFileSync(join(dir, 'w.bin'), 'WEIGHTS')
    const outcome = await startOf(content)
    expect(outcome).toContain('file 1 of its external data holds other bytes of the same size')
    expect(outcome).not.toContain(dir)
  })
})

test('the name of the bytes is that of a manifest', async () => {
  const dir = treeFor({ 'm.onnx': A, 'w.bin': W })
  const file = (name: string, bytes: string) => ({ name, sha256: createHash('sha256').update(bytes).digest('hex'), size: 0 })
  expect((await loadedFrom(dir)).id).toBe(manifestIdOf([file('.', A), file('w.bin', W)]))
})

describe('files that change in the middle of a load', () => {
  test.each(['other', 'other at the same time', 'longer', 'remove'])('fail the first load: %s', async (deed) => {
    const dir = treeFor({ 'm.onnx': A, 'w.bin': W })
    const content = await openContent(join(dir, 'm.onnx'), settled)
    await content.begin(new Map([['w.bin', join(dir, 'w.bin')]]))
    expect(await startOf(content, () => DEEDS[deed]?.(join(dir, 'm.onnx')))).toMatch(/changed|cannot be read|could not be/)
    expect(content.id).toBeUndefined()
  })

  test('fail it too when that was between the reading of the graph and the load', async () => {
    const dir = treeFor({ 'm.onnx': A, 'w.bin': W })
    const content = await openContent(join(dir, 'm.onnx'), settled)
    writeFileSync(join(dir, 'm.onnx'), B)
    await content.begin(new Map())
    expect(await startOf(content)).toContain('changed on disk while it was being loaded')
  })

  test.each(['other', 'other at the same time', 'longer', 'remove'])('fail a later one: %s', async (deed) => {
    const dir = treeFor({ 'm.onnx': A, 'w.bin': W })
    const content = await loadedFrom(dir)
    expect(await startOf(content, () => DEEDS[deed]?.(join(dir, 'm.onnx')))).toMatch(/changed on disk/)
  })

  test.each(['touch', 'write', 'replace'])('harm nothing where the bytes stay: %s', async (deed) => {
    const dir = treeFor({ 'm.onnx': A, 'w.bin': W })
    const content = await loadedFrom(dir)
    expect(await startOf(content, () => DEEDS[deed]?.(join(dir, 'm.onnx')))).toBe('started')
  })
})

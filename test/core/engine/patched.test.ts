import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { entryName, patchKey } from '../../../src/core/engine/derived/key.ts'
import { folderOf, readPatched } from '../../../src/core/engine/patched.ts'
import type { Patch } from '../../../src/core/onnx/splice.ts'

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (bytes: string | Uint8Array): string => (typeof bytes === 'string' ? bytes : new TextDecoder().decode(bytes))

const PATCH: Patch = [
  { at: 0, end: 1, bytes: bytesOf('AA') },
  { at: 3, end: 3, bytes: bytesOf('-') },
  { at: 4, end: 6, bytes: bytesOf('') },
]

test('bytes are replaced, removed and added, from a file and from memory', () => {
  const dir = mkdtempSync(join(tmpdir(), 'patched-test-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const path = join(dir, 'file')
  writeFileSync(path, 'abcdefgh')
  expect(textOf(readPatched(path, PATCH))).toBe('AAbc-dgh')
  expect(textOf(readPatched(bytesOf('abcdefgh'), PATCH))).toBe('AAbc-dgh')
  // The file is what it was, and without a patch it is not read.
  expect(textOf(readPatched(path, [{ at: 0, end: 0, bytes: bytesOf('') }]))).toBe('abcdefgh')
  expect(readPatched(path, [])).toBe(path)
  expect(folderOf({ source: path, patch: PATCH })).toBe(dir)
  expect(folderOf({ source: path, patch: [] })).toBeUndefined()
  expect(folderOf({ source: bytesOf('abcdefgh'), patch: PATCH })).toBeUndefined()
  truncateSync(path, 2)
  expect(() => readPatched(path, PATCH)).toThrow()
})

test('what is derived from a model with edits has another name', () => {
  const other: Patch = [{ at: 0, end: 1, bytes: bytesOf('AB') }]
  const names = [[], PATCH, other].map((patch) => entryName('outer', ['digest'], patch))
  expect(new Set(names).size).toBe(3)
  expect(entryName('outer', ['digest'], [...PATCH])).toBe(names[1])
  expect(patchKey(PATCH)).not.toBe(patchKey(other))
})

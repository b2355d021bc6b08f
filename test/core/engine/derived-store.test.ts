/** Derived models on disk: whole or not there, damaged ones unread, and what is dropped when. */

import { existsSync, mkdirSync, readdirSync, statSync, utimesSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  discard,
  entriesLike,
  type Manifest,
  openDraft,
  publish,
  readManifest,
  tidy,
  touch,
} from '../../../src/core/engine/derived/store.ts'
import { plant, treeFor } from '../../support/tree.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const manifest: Manifest = {
  format: 1,
  files: { 'model.onnx': 'a', 'weights.bin': 'b' },
  bytes: 5,
  verdict: { same: true, speed: 1 },
}
const entryName = (digit: string): string => `${digit.repeat(16)}-${digit.repeat(32)}`

function put(root: string, name: string, { ageMs = 0, ...change }: { ageMs?: number } & Partial<Manifest> = {}): void {
  plant(root, { [`${name}/manifest.json`]: JSON.stringify({ ...manifest, ...change }) })
  const at = new Date(Date.now() - ageMs)
  utimesSync(join(root, name, 'manifest.json'), at, at)
}

describe('an entry', () => {
  test('is its draft, moved in whole; the first of a key stays', async () => {
    const root = treeFor({})
    const first = await openDraft(root)
    plant(first, { 'model.onnx': 'first' })
    expect(await publish(root, 'e', first, manifest)).toBe(true)
    const second = await openDraft(root)
    expect(await publish(root, 'e', second, { ...manifest, bytes: 9 })).toBe(false)
    expect(readdirSync(root)).toEqual(['e'])
    if (process.platform !== 'win32')
      for (const path of ['e', 'e/manifest.json']) expect(statSync(join(root, path)).mode & 0o077).toBe(0)
    expect(await readManifest(root, 'e')).toEqual(manifest)
  })

  test('does not take the place of something else, and the build is told', async () => {
    const root = treeFor({ 'e/notes.txt': 'mine' })
    await expect(publish(root, 'e', await openDraft(root), manifest)).rejects.toMatchObject({ code: 'ENOTEMPTY' })
    expect(existsSync(join(root, 'e/notes.txt'))).toBe(true)
  })

  test.each<[string, unknown]>([
    ['another format', { ...manifest, format: 2 }],
    ['no files', { ...manifest, files: null }],
    ['files as text', { ...manifest, files: 'model.onnx' }],
    ['a file of elsewhere', { ...manifest, files: { '../model.onnx': 'a' } }],
    ['a hash that is none', { ...manifest, files: { 'model.onnx': 1 } }],
    ['no size', { ...manifest, bytes: '5' }],
    ['no verdict', { ...manifest, verdict: undefined }],
    ['a verdict without a speed', { ...manifest, verdict: { same: true } }],
    ['a verdict without a word', { ...manifest, verdict: { speed: 1 } }],
    ['null', null],
  ])('with %s in its manifest is as good as not there', async (_what, json) => {
    expect(await readManifest(treeFor({ 'e/manifest.json': JSON.stringify(json) }), 'e')).toBeUndefined()
  })

  test('with half a manifest or none is as good as not there', async () => {
    const root = treeFor({ 'e/manifest.json': '{"format":1', 'f/x': '' })
    expect([await readManifest(root, 'e'), await readManifest(root, 'f'), await readManifest(root, 'g')]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })

  test('is found by how its name starts, and goes when discarded', async () => {
    const root = treeFor({ 'ab-1/x': '', 'ab-2/x': '', 'b-ab/x': '' })
    expect((await entriesLike(root, 'ab-')).sort()).toEqual(['ab-1', 'ab-2'])
    expect(await entriesLike(join(root, 'none'), 'ab-')).toEqual([])
    await discard(root, 'ab-1')
    await discard(root, 'ab-1')
    expect(readdirSync(root).sort()).toEqual(['ab-2', 'b-ab'])
  })
})

describe('tidying up', () => {
  const left = async (root: string, keep = entryName('0')): Promise<string[]> => {
    await tidy(root, keep)
    return readdirSync(root).sort()
  }

  test('drops what was not used for a month, and counts a touch as use', async () => {
    const root = treeFor({ 'photos/x': '' })
    for (const digit of ['0', '1', '2']) put(root, entryName(digit), { ageMs: 31 * DAY_MS })
    put(root, entryName('3'), { ageMs: 29 * DAY_MS })
    put(root, 'not-an-entry', { ageMs: 31 * DAY_MS })
    await touch(root, entryName('2'))
    await touch(root, 'gone')
    expect(await left(root)).toEqual([entryName('0'), entryName('2'), entryName('3'), 'not-an-entry', 'photos'])
  })

  test('drops the longest unused first when all take too much, and never the one in use', async () => {
    const root = treeFor({})
    put(root, entryName('0'), { bytes: 8 * 2 ** 30, ageMs: 3 * DAY_MS })
    put(root, entryName('1'), { bytes: 8 * 2 ** 30, ageMs: DAY_MS })
    put(root, entryName('2'), { bytes: 1, ageMs: 2 * DAY_MS })
    expect(await left(root)).toEqual([entryName('0'), entryName('1')])
  })

  test('drops a damaged entry, which nothing says the age of', async () => {
    const root = treeFor({ [`${entryName('1')}/model.onnx`]: 'x' })
    expect(await left(root)).toEqual([])
  })

  test('drops drafts of processes that are gone, and of other machines after an hour; others are work in progress', async () => {
    const root = treeFor({})
    const mine = await openDraft(root)
    const own = mine.slice(root.length + 1)
    expect(own).toMatch(new RegExp(`^draft-.*-${process.pid}-[0-9a-f]{12}$`))
    const here = `draft-${hostname().replace(/[^A-Za-z0-9]/g, '_')}-`
    // No system has as many processes.
    const [dead, parent] = [`${here}${2 ** 30}-x`, `${here}${process.ppid}-x`]
    for (const name of [dead, parent, 'draft-elsewhere-1-x', 'draft-elsewhere-2-x']) mkdirSync(join(root, name))
    const old = new Date(Date.now() - 2 * HOUR_MS)
    utimesSync(join(root, 'draft-elsewhere-1-x'), old, old)
    expect(await left(root)).toEqual([own, parent, 'draft-elsewhere-2-x'].sort())
    expect(await left(join(root, 'none')).catch(() => 'no folder')).toBe('no folder')
  })
})

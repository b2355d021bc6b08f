/** Retention in a full store, among processes that share it; and the entries that count as models. */

import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { createStore, type Store } from '../../../src/core/integrity/store.ts'
import { POSIX } from '../../support/needs.ts'

const HOUR_MS = 3600 * 1000
const DAY_MS = 24 * HOUR_MS

let dir: string
let now: number
let made = 0
const warned: string[] = []
beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), 'retention-'))
  onTestFinished(() => fs.rmSync(dir, { recursive: true, force: true }))
  now = Date.now()
  warned.length = 0
})

/** The store as one process sees it. */
function storeOf(maxBytes = 1): Store {
  const store = createStore(
    { dir: join(dir, 'store'), maxBytes },
    { wallNow: () => now, warn: (message) => void warned.push(message) },
  )
  onTestFinished(() => store.close())
  return store
}

/** @returns its id, once the store has been cleaned up */
async function put(store: Store, text: string): Promise<string> {
  const from = join(dir, `source-${made++}`)
  fs.writeFileSync(from, text)
  const staging = await store.stage()
  await staging.add('.', 'model.onnx', from)
  const { manifestId } = await staging.commit()
  await store.close()
  return manifestId
}

const kept = (): string[] => fs.readdirSync(join(dir, 'store/models')).map((name) => `sha256:${name}`)
const sorted = (...ids: string[]) => [...ids].sort()

test('what other processes have used within a day stays, however little room there is', async () => {
  const first = await put(storeOf(), 'first')
  now += DAY_MS - 60_000
  const second = await put(storeOf(), 'second')
  expect(kept().sort()).toEqual(sorted(first, second))
  // Over a day for the first, less for the second.
  now += 120_000
  const third = await put(storeOf(), 'third')
  expect(kept().sort()).toEqual(sorted(second, third))
})

test('a model that is found again counts as used', async () => {
  const [first, second] = [await put(storeOf(), 'first'), await put(storeOf(), 'second')]
  now += DAY_MS - 60_000
  expect(await storeOf().find(first)).toMatchObject({ manifestId: first })
  now += 120_000
  const third = await put(storeOf(), 'third')
  expect(kept()).not.toContain(second)
  expect(kept().sort()).toEqual(sorted(first, third))
})

test('a model that is held stays here for as long as one holder is left, and counts as used for others', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  onTestFinished(() => void vi.useRealTimers())
  const here = storeOf()
  const model = await put(storeOf(), 'model')
  await here.find(model)
  const releases = [here.hold(model), here.hold(model)]
  now += 3 * DAY_MS
  vi.advanceTimersByTime(HOUR_MS)
  const used = () => fs.statSync(join(dir, 'store/models', model.slice('sha256:'.length), 'manifest.json')).mtimeMs
  await expect.poll(used).toBeGreaterThan(now - 1000)
  await put(storeOf(), 'of another process')
  expect(kept()).toContain(model)

  now += 2 * DAY_MS
  // The same holder twice is one holder less.
  releases[0]?.()
  releases[0]?.()
  await put(here, 'second')
  expect(kept()).toContain(model)
  releases[1]?.()
  await put(here, 'third')
  expect(kept()).not.toContain(model)
  expect(vi.getTimerCount()).toBe(0)
})

test('the least recently used leave first, and no more of them than it takes', async () => {
  const ids: string[] = []
  for (const name of ['a', 'b', 'c', 'd']) {
    ids.push(await put(storeOf(1000), name.repeat(10)))
    now += 1000
  }
  now += 2 * DAY_MS
  // 40 bytes lie there, 10 come, 30 may stay.
  const last = await put(storeOf(30), 'e'.repeat(10))
  expect(kept().sort()).toEqual(sorted(ids[2] as string, ids[3] as string, last))
  now += 2 * DAY_MS
  // As much as may stay, to the byte.
  await put(storeOf(40), 'f'.repeat(10))
  expect(kept()).toHaveLength(4)
})

test('a folder that cannot be cleaned up costs a warning, not the load', async () => {
  const store = storeOf()
  const first = await put(store, 'first')
  fs.rmSync(join(dir, 'store/seen'), { recursive: true })
  expect(await put(store, 'second')).not.toBe(first)
  expect(warned.join()).toContain('could not be cleaned up')
})

test('a model under the id of another is not that one', async () => {
  const store = storeOf()
  const [first, second] = [await put(store, 'first'), await put(store, 'second')]
  const folder = (id: string): string => join(dir, 'store/models', id.slice('sha256:'.length))
  fs.rmSync(folder(first), { recursive: true })
  // Every file is as it was left, and so is the list of them.
  fs.renameSync(folder(second), folder(first))
  expect(await store.find(first)).toBeUndefined()
})

test('a model is loaded from its own file, wherever that stands in the list; without one it is none', async () => {
  const from = join(dir, 'source')
  fs.writeFileSync(from, 'bytes')
  const store = storeOf()
  const staging = await store.stage()
  await staging.add('weights', 'weights.bin', from)
  await staging.add('.', 'model.onnx', from)
  const { source, manifestId } = await staging.commit()
  expect(source).toBe(join(dir, 'store/models', manifestId.slice('sha256:'.length), 'files/model.onnx'))
  const half = await store.stage()
  await half.add('weights', 'weights.bin', from)
  await expect(half.commit()).rejects.toMatchObject({ code: 'MODEL_LOAD_FAILED' })
})

test('a folder of another user is none that is used', POSIX, async () => {
  await put(storeOf(), 'model')
  vi.spyOn(process, 'getuid').mockReturnValue((process.getuid?.() ?? 0) + 1)
  onTestFinished(() => void vi.restoreAllMocks())
  await expect(storeOf().stage()).rejects.toMatchObject({
    code: 'MODEL_LOAD_FAILED',
    message: expect.stringContaining('belongs to another user'),
    details: { field: 'store.dir' },
  })
})

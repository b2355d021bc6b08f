/** Files are hashed on their way into the store, piece by piece; unreadable ones, and changing ones, are refused. */

import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { hashAll } from '../../../src/core/integrity/hash.ts'
import { LINUX, POSIX } from '../../support/needs.ts'
import { treeFor } from '../../support/tree.ts'

const PIECE_BYTES = 1000

test.each([0, 1, PIECE_BYTES, PIECE_BYTES + 1, 10 * PIECE_BYTES + 7])('%i bytes are copied and hashed', async (size) => {
  const bytes = randomBytes(size)
  const root = treeFor({ a: bytes, b: 'other' })
  const to = join(root, 'copy')
  const [copied, read] = await hashAll([{ path: join(root, 'a'), to }, { path: join(root, 'a') }], PIECE_BYTES)
  expect(copied).toMatchObject({ size, sha256: createHash('sha256').update(bytes).digest('hex') })
  expect(read).toEqual(copied)
  expect(readFileSync(to).equals(bytes)).toBe(true)
  if (process.platform !== 'win32') expect(statSync(to).mode & 0o777).toBe(0o400)
})

test('what is no file, or would be written over another, is refused by name', POSIX, async () => {
  const root = treeFor({ a: 'a', there: 'b' })
  mkdirSync(join(root, 'folder'))
  symlinkSync('a', join(root, 'link'))
  const refused = async (name: string, why: string, to?: string): Promise<void> => {
    const path = join(root, name)
    await expect(hashAll([{ path, ...(to === undefined ? {} : { to: join(root, to) }) }])).rejects.toMatchObject({
      code: 'MODEL_LOAD_FAILED',
      message: expect.stringContaining(why),
      details: { path: join(root, to ?? name) },
    })
  }
  await refused('folder', 'is not a regular file')
  await refused('link', 'is a symbolic link')
  await refused('missing', 'could not be opened (ENOENT)')
  await refused('a', 'could not be opened (EEXIST)', 'there')
  expect(readFileSync(join(root, 'there'), 'utf8')).toBe('b')
})

test('a file that cannot be read, or grows meanwhile, has no hash', LINUX, async () => {
  const to = join(treeFor({}), 'copy')
  const failed = { code: 'MODEL_LOAD_FAILED', details: { path: '/proc/self/mem' } }
  await expect(hashAll([{ path: '/proc/self/mem' }])).rejects.toMatchObject({
    ...failed,
    message: expect.stringContaining('read (EIO)'),
  })
  await expect(hashAll([{ path: '/proc/self/mem', to }])).rejects.toMatchObject({
    ...failed,
    message: expect.stringContaining('copied (EIO)'),
  })
  // It has more bytes than it says.
  await expect(hashAll([{ path: '/proc/self/status' }])).rejects.toThrow('changed while it was being hashed')
})

/** A message is a stream: however large it is, little of it is in memory at a time. */

import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'

const CHILD = fileURLToPath(new URL('../../support/encrypt-large.mjs', import.meta.url))
const BYTES = 200 * 2 ** 20

test('200 MB are encrypted and decrypted within a part of that', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'modelmount-large-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const { stdout } = await promisify(execFile)(process.execPath, [CHILD, dir, String(BYTES)])
  expect(Number(stdout)).toBeLessThan(BYTES / 3)
  expect(statSync(join(dir, 'large/back/extra.bin')).size).toBe(BYTES)
  expect(readdirSync(join(dir, 'large'), { recursive: true }).filter((name) => String(name).endsWith('.part'))).toEqual([])
})

import fs, { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createOutput } from '../../../src/core/crypto/output.ts'

test('what is given up before it was opened does not come into being afterwards', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'modelmount-output-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const { open } = fs
  vi.spyOn(fs, 'open').mockImplementation(
    ((...args: Parameters<typeof open>) => void sleep(100).then(() => open(...args))) as never,
  )
  onTestFinished(() => void vi.restoreAllMocks())
  const output = await createOutput(join(folder, 'unopened.bin'))
  await output.discard()
  expect(output.stream.closed).toBe(true)
  expect(readdirSync(folder)).toEqual([])
})

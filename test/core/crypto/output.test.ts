/** Outputs: complete or not there, and never in the place of something else. */

import { spawnSync } from 'node:child_process'
import fs, { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createOutput } from '../../../src/core/crypto/output.ts'

function folderFor(): string {
  const folder = mkdtempSync(join(tmpdir(), 'modelmount-output-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return folder
}

async function written(path: string, text: string, opts?: { replace: boolean }) {
  const output = await createOutput(path, opts)
  await new Promise<void>((resolve) => output.stream.end(text, () => resolve()))
  return output
}
const unfinished = (folder: string): string[] => readdirSync(folder).filter((name) => name.endsWith('.part'))

test('of two writers of one file the second is refused, and the file of the first stays', async () => {
  const folder = folderFor()
  const path = join(folder, 'model.onnx.enc')
  // Side by side: neither takes the other's unfinished file away.
  const [first, second] = [await written(path, 'first'), await written(path, 'second')]
  expect(unfinished(folder)).toHaveLength(2)
  expect(existsSync(path)).toBe(false)
  await first.commit()
  await expect(second.commit()).rejects.toMatchObject({ code: 'MODEL_LOAD_FAILED', message: expect.stringContaining('EEXIST') })
  expect([readFileSync(path, 'utf8'), ...readdirSync(folder)]).toEqual(['first', 'model.onnx.enc'])
  const replacing = await written(path, 'third', { replace: true })
  await replacing.commit()
  expect([readFileSync(path, 'utf8'), ...readdirSync(folder)]).toEqual(['third', 'model.onnx.enc'])
})

test('of what lies unfinished only that of processes which are gone is taken away', async () => {
  const folder = folderFor()
  const path = join(folder, 'model.onnx.enc')
  const host = hostname()
    .replace(/[^A-Za-z0-9]/g, '_')
    .slice(0, 32)
  const { pid: dead } = spawnSync(process.execPath, ['-e', ''])
  const id = '00000000-0000-4000-8000-000000000000'
  const name = (of: string, pid: number, file = 'model.onnx.enc') => `${file}.${of}-${pid}-${id}.part`
  const stays = {
    'of a process that is at work': name(host, process.ppid),
    'of another host, a moment ago': name('elsewhere', dead),
    'of another file': name(host, dead, 'other.enc'),
    'of somebody else': 'model.onnx.enc.backup',
  }
  const leaves = {
    'of a process that is gone': name(host, dead),
    'of an earlier process with our id': name(host, process.pid),
    'of another host, long ago': name('long_ago', dead),
  }
  for (const file of [...Object.values(stays), ...Object.values(leaves)]) writeFileSync(join(folder, file), '')
  utimesSync(join(folder, leaves['of another host, long ago']), 1e9, 1e9)
  const output = await written(path, 'x')
  expect(readdirSync(folder).sort()).toEqual([...Object.values(stays), output.unfinished.slice(folder.length + 1)].sort())
  await output.discard()
  expect(readdirSync(folder).sort()).toEqual(Object.values(stays).sort())
  // Given up by us: from then on it would be a stranger's.
  writeFileSync(output.unfinished, '')
  await (await createOutput(path)).discard()
  expect(existsSync(output.unfinished)).toBe(false)
})

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

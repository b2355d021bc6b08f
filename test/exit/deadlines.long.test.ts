/** Deadlines that are far away keep no process running once everything is answered: it ends at once. */

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

function run(...args: readonly string[]): Promise<{ readonly code: number | null; readonly stdout: string }> {
  return new Promise((resolve) => {
    const script = spawn(process.execPath, [join(root, 'test/exit/deadlines.mjs'), join(root, 'dist'), ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let stdout = ''
    script.stdout.on('data', (chunk) => {
      stdout += chunk
    })
    script.on('close', (code) => resolve({ code, stdout }))
  })
}

describe.each(['thread', 'process'])('%s tier', (tier) => {
  test.each(['waiting', 'answered', 'never'])('two deadlines, the later first; closed: %s', async (when) => {
    expect(await run(tier, '4', '2', when)).toEqual({ code: 0, stdout: 'answered\n' })
  })

  test('the earlier first', async () => {
    expect(await run(tier, '2', '4', 'waiting')).toEqual({ code: 0, stdout: 'answered\n' })
  })
})

/** The memory that 40 hostile bodies at once take. */

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

interface Outcome {
  readonly bytes: number
  readonly statuses: readonly number[]
  readonly moreMB: number
}

test('40 bodies of 64 KB gzip at once take at most 300 MB more', async () => {
  const script = fileURLToPath(new URL('../../support/in-flight-host.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', script])
  const outcomes = Object.entries(JSON.parse(stdout) as Readonly<Record<string, Outcome>>)
  expect(outcomes.length).toBeGreaterThan(3)
  for (const [what, { bytes, statuses, moreMB }] of outcomes) {
    expect([what, bytes > 60_000 && bytes < 70_000]).toEqual([what, true])
    // Refused; those that unpack to less than a hundred times their size are read first.
    expect([what, statuses]).toEqual([what, [what === 'a bomb' ? 413 : 400]])
    expect([what, moreMB]).toSatisfy(([, mb]) => mb <= 300)
  }
})

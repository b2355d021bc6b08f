/** The host ends while native code runs: its own exit code, never SIGABRT (134), never an orphan. */

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { slowLoopModel } from '../../tools/models.mjs'
import { slowLoadModel } from '../support/slow-load.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const dir = mkdtempSync(join(tmpdir(), 'exit-test-'))
const models = { run: join(dir, 'slow-run.onnx'), load: join(dir, 'slow-load.onnx') }

beforeAll(() => {
  writeFileSync(models.run, slowLoopModel())
  writeFileSync(models.load, slowLoadModel(20))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

function run(tier: string, phase: 'load' | 'run', ending: string): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [
      join(root, 'test/exit/scenario.mjs'),
      join(root, 'dist'),
      models[phase],
      tier,
      phase,
      ending,
    ])
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk) => {
      stdout += chunk
    })
    child.stderr.on('data', (chunk) => {
      stderr += chunk
    })
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
}

const EXPECTED = {
  exit: { code: 7, signal: null },
  throw: { code: 1, signal: null },
  'fall-off': { code: 0, signal: null },
  sigterm: { code: null, signal: 'SIGTERM' },
  close: { code: 0, signal: null },
} as const

describe.concurrent.each(['thread', 'process'])('%s tier', (tier) => {
  describe.each(['load', 'run'] as const)('during a %s', (phase) => {
    test.each(Object.keys(EXPECTED) as (keyof typeof EXPECTED)[])('%s', async (ending) => {
      const { code, signal, stdout, stderr } = await run(tier, phase, ending)
      expect({ code, signal }).toEqual(EXPECTED[ending])
      expect(stderr).not.toMatch(/mutex lock failed|Napi::Error|terminate called/)
      expect(stdout).toContain('ending')
      // Accepted requests are answered if the process may wait for them.
      if (ending === 'fall-off' || ending === 'close')
        expect(stdout).toMatch(phase === 'run' ? /answered/ : /loaded|SERVER_CLOSED/)
    })
  })
})

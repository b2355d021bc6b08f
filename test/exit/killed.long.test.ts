/** A child that dies while it loads: the script that waits for it goes on, hears the reason and ends as it wants to. Linux only. */

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { workerPids } from '../support/children.ts'
import { LINUX } from '../support/needs.ts'
import { slowLoadModel } from '../support/slow-load.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const dir = mkdtempSync(join(tmpdir(), 'killed-exit-test-'))
const model = join(dir, 'slow-load.onnx')

beforeAll(() => writeFileSync(model, slowLoadModel(60)))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** Runs the script, and kills its first children once they are there. */
function run(options: object, kills: number): Promise<{ readonly code: number | null; readonly stdout: string }> {
  return new Promise((resolve) => {
    const script = spawn(
      process.execPath,
      [join(root, 'test/exit/killed.mjs'), join(root, 'dist'), model, JSON.stringify(options)],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    const killed = new Set<number>()
    let stdout = ''
    let over = false
    const look = (): void => {
      for (const pid of workerPids(script.pid)) {
        if (killed.size >= kills || killed.has(pid)) continue
        killed.add(pid)
        process.kill(pid, 'SIGKILL')
      }
      if (!over && killed.size < kills) setImmediate(look)
    }
    look()
    script.stdout.on('data', (chunk) => {
      stdout += chunk
    })
    script.on('close', (code) => {
      over = true
      resolve({ code, stdout })
    })
  })
}

describe('a script whose child is killed while it loads', LINUX, () => {
  test.each([
    ['the instance of the process tier', { isolation: 'process', trialRun: false, batching: false }],
    ['the trial run of the process tier', { isolation: 'process' }],
    ['the trial run of the thread tier', { trialRun: true }],
  ])('%s', async (_, options) => {
    const { code, stdout } = await run(options, 1)
    expect(stdout).toMatch(/^loading\nMODEL_LOAD_FAILED: .*SIGKILL/)
    expect(code).toBe(4)
  })

  test.each([
    ['thread', 1],
    ['process', 1],
  ] as const)('the child in which the model is tried, %s tier', async (isolation, kills) => {
    const { code, stdout } = await run({ isolation, trialRun: false, proof: 'before-ready' }, kills)
    // The first child is that of the trial.
    expect(stdout).toMatch(/^loading\nuntried: .*SIGKILL.*\nready\n$/)
    expect(code).toBe(3)
  })
})

/** Scripts in processes of their own, because an SDK registers itself for its whole process. */

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

interface Told {
  readonly [key: string]: unknown
}

/** Runs an ES module and returns the argument of its `tell()`. Its stderr must stay empty. */
export async function runScript(
  script: string,
  opts: { readonly env?: Record<string, string>; readonly cwd?: string } = {},
): Promise<Told> {
  const { cwd = root, env = {} } = opts
  const head = `const tell = (value) => process.stdout.write(JSON.stringify(value))
    const row = (seed) => Array.from({ length: 32 }, (_, i) => Math.sin(seed * 32 + i))\n`
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', head + script], {
    cwd,
    env: { ...process.env, ...env },
    timeout: 60_000,
  })
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}

/** A server of one model, with a telemetry. */
export const SERVER = `
  import { createModelServer } from 'modelmount'
  import { mlpModel } from './tools/models.mjs'
  const serve = (telemetry) => createModelServer({ models: [{ name: 'mlp', source: mlpModel() }], telemetry, logger: false })\n`
/** The same, and the SDK's bootstrap. */
export const START = `${SERVER}
  import { startTelemetry } from 'modelmount/telemetry/sdk'\n`

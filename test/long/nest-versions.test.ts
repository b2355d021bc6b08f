/** The adapter for Nest on Nest 12. The tests of `npm test` run on Nest 11. */

import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const SCRIPT = fileURLToPath(new URL('../interop/nest-versions.mjs', import.meta.url))
const PLATFORMS = ['Express', 'Fastify']
const CHECKS = ['a prediction', 'a guard', '@InjectModel', 'health: up', 'health: down', 'closes with the app']

test('Nest 12 on both platforms', { timeout: 5 * 60_000 }, async () => {
  // Fails where a check does.
  const { stdout } = await promisify(execFile)(process.execPath, [SCRIPT, '12'])
  for (const platform of PLATFORMS)
    for (const check of CHECKS) expect(stdout).toMatch(new RegExp(`^Nest 12\\.\\d+\\.\\d+, ${platform}: ${check}: ok$`, 'm'))
})

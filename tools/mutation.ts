/** `npm run mutation -- cache` or `-- cache/key`: what of a room, or of one of its files, could be changed without a test that notices. */

import { spawnSync } from 'node:child_process'
import { partOf } from './mutation-rooms.ts'

const [name = '', ...flags] = process.argv.slice(2)
try {
  const { mutate } = partOf(name)
  const { status } = spawnSync('npx', ['stryker', 'run', 'stryker.config.json', '--mutate', mutate, ...flags], {
    stdio: 'inherit',
    env: { ...process.env, MUTATION: name },
  })
  process.exitCode = status ?? 1
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 2
}

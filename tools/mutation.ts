/**
 * `npm run mutation -- cache` or `-- cache/key`: what of a room, or of one of its files, could be changed without a test that notices. With
 * `--far`, tests of the whole are asked as well.
 */

import { spawnSync } from 'node:child_process'
import { partOf } from './mutation-rooms.ts'

const args = process.argv.slice(2)
const isFar = args.includes('--far')
const [name = '', ...flags] = args.filter((arg) => arg !== '--far')
try {
  const { mutate } = partOf(name)
  const { status } = spawnSync('npx', ['stryker', 'run', 'stryker.config.json', '--mutate', mutate, ...flags], {
    stdio: 'inherit',
    env: { ...process.env, MUTATION: name, ...(isFar ? { MUTATION_FAR: '1' } : {}) },
  })
  process.exitCode = status ?? 1
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 2
}

/**
 * `npm run mutation -- cache` or `-- cache/key`: finds changes of a room, or of one of its files, that no test notices. With `--far`, tests
 * of the whole run as well; with `--sample 20`, only that many stretches of the room, drawn at random, are changed.
 */

import { spawnSync } from 'node:child_process'
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { partOf } from './mutation-rooms.ts'
import { sampleOf } from './mutation-sample.ts'

const options = {
  far: { type: 'boolean', default: false },
  sample: { type: 'string' },
  seed: { type: 'string', default: '1' },
  concurrency: { type: 'string', default: '1' },
} as const satisfies ParseArgsConfig['options']

try {
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  const [name = ''] = positionals
  const { mutate } = partOf(name)
  const changed = values.sample === undefined ? mutate : sampleOf(mutate, Number(values.sample), Number(values.seed))
  const flags = ['--mutate', `${changed},!src/**/worker.ts,!src/**/*-worker.ts`, '--concurrency', values.concurrency]
  const { status } = spawnSync('npx', ['stryker', 'run', 'stryker.config.json', ...flags], {
    stdio: 'inherit',
    env: { ...process.env, MUTATION: name, ...(values.far ? { MUTATION_FAR: '1' } : {}) },
  })
  process.exitCode = status ?? 1
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 2
}

import { defineConfig } from 'vitest/config'
import type { VitestPluginContext } from 'vitest/node'
import { partOf } from './tools/mutation-rooms.ts'
import config from './vitest.config.ts'
import { onSources } from './vitest.sources.ts'

const { near, far } = partOf(process.env.MUTATION ?? '').room

/** Stryker's runner asks for threads, where a thread of ONNX Runtime is refused; tests of the engine need a process, as `npm test` gives them. */
const inProcesses = {
  name: 'in-processes',
  configureVitest: ({ vitest, project }: VitestPluginContext): void => {
    for (const { config } of [vitest, project]) config.pool = 'forks'
  },
} as const

/** For `npm run mutation`: one room's tests, against the sources instead of dist/. */
export default defineConfig({
  plugins: [...onSources.plugins, inProcesses],
  resolve: { alias: onSources.alias },
  test: {
    ...config.test,
    include: process.env.MUTATION_FAR ? [...near, ...far] : [...near],
    // Simulated hours under load take half a minute for each change.
    exclude: process.env.MUTATION_FAR ? [] : ['**/*.long.test.ts'],
    globalSetup: [],
    setupFiles: ['./test/support/own-cache.ts'],
    reporters: ['default'],
    // The longest test takes 4 s, and four times as long on a busy machine. Stryker's own timer ends most of what waits for ever sooner.
    testTimeout: 45_000,
    hookTimeout: 45_000,
  },
})

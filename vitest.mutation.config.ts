import { fileURLToPath, pathToFileURL } from 'node:url'
import { defineConfig } from 'vitest/config'
import type { VitestPluginContext } from 'vitest/node'
import { partOf } from './tools/mutation-rooms.ts'
import config from './vitest.config.ts'

const { near, far } = partOf(process.env.MUTATION ?? '').room

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** What runs in threads and processes of its own is the build's; only what runs in the test's process is mutated. */
const builtWorkers = {
  name: 'built-workers',
  enforce: 'pre',
  transform: (code: string): string =>
    code.replace(
      /(['"])\.\/(workers\/(?:[a-z]+-)?worker\.cjs)\1/g,
      (_, _quote, file) => `'${pathToFileURL(at(`./dist/${file}`))}'`,
    ),
} as const

/** Stryker's runner asks for threads, where a thread of ONNX Runtime is refused; tests of the engine need a process, as `npm test` gives them. */
const inProcesses = {
  name: 'in-processes',
  configureVitest: ({ vitest, project }: VitestPluginContext): void => {
    for (const { config } of [vitest, project]) config.pool = 'forks'
  },
} as const

/** For `npm run mutation`: one room's tests, against the sources instead of dist/. */
export default defineConfig({
  plugins: [builtWorkers, inProcesses],
  resolve: {
    alias: [
      { find: /^modelmount$/, replacement: at('./src/index.ts') },
      { find: /^modelmount\/client$/, replacement: at('./src/client/index.ts') },
      { find: /^modelmount\/telemetry$/, replacement: at('./src/telemetry/index.ts') },
      { find: /^modelmount\/telemetry\/sdk$/, replacement: at('./src/telemetry/sdk.ts') },
      { find: /^modelmount\/(express|fastify|node|fetch|nestjs)$/, replacement: `${at('./src/adapters')}/$1.ts` },
    ],
  },
  test: {
    ...config.test,
    include: process.env.MUTATION_FAR ? [...near, ...far] : [...near],
    // Simulated hours under load take half a minute for each change.
    exclude: process.env.MUTATION_FAR ? [] : ['**/*.long.test.ts'],
    globalSetup: [],
    setupFiles: [],
    reporters: ['default'],
    // A change that makes a test wait for ever is found sooner; the longest test takes 4 s.
    testTimeout: 15_000,
    hookTimeout: 15_000,
  },
})

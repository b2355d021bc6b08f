import { defineConfig } from 'vitest/config'

/** Tests of the package and its types, which need the build of the types: `npm run check`. */
export const OF_PACKAGE = ['test/package.test.ts', 'test/types/**/*.test.ts']

/** Tests that have a command of their own. With `SUITE=whole` they run among the others, as on other versions of Node. */
const ELSEWHERE = process.env.SUITE === 'whole' ? [] : ['test/**/*.long.test.ts', ...OF_PACKAGE]

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Minutes each: npm run test:long.
    exclude: ['test/long/**', ...ELSEWHERE],
    // Child processes, not threads: modelmount sets ORT_DISABLE_TELEMETRY in the real environment, which a thread only has a copy of.
    pool: 'forks',
    // One more than the CPUs of a small machine: some tests only wait.
    maxWorkers: 3,
    // Some tests load ONNX Runtime by themselves, to compare with; running them must not report anything to anybody.
    env: { ORT_DISABLE_TELEMETRY: '1' },
    globalSetup: ['./test/support/build-age.ts'],
    setupFiles: ['./test/support/fresh-dist.ts', './test/support/own-cache.ts'],
    reporters: ['default', './test/support/summary.ts'],
    testTimeout: 90_000,
    hookTimeout: 90_000,
    expect: { poll: { interval: 10, timeout: 30_000 } },
  },
})

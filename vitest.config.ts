import { defineConfig } from 'vitest/config'

/** What takes many seconds: `npm run test:long`. With `SUITE=whole` it runs among the others, as on other versions of Node. */
const SLOW = process.env.SUITE === 'whole' ? [] : ['test/**/*.long.test.ts']

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Minutes each: npm run test:long.
    exclude: ['test/long/**', ...SLOW],
    // Child processes, not threads: modelmount sets ORT_DISABLE_TELEMETRY in the real environment, which a thread only has a copy of.
    pool: 'forks',
    // One more than the CPUs of a small machine: some tests only wait.
    maxWorkers: 3,
    // Some tests load ONNX Runtime by themselves, to compare with; running them must not report anything to anybody.
    env: { ORT_DISABLE_TELEMETRY: '1' },
    globalSetup: ['./test/support/build-age.ts'],
    setupFiles: ['./test/support/fresh-dist.ts'],
    reporters: ['default', './test/support/summary.ts'],
    testTimeout: 90_000,
    hookTimeout: 90_000,
    expect: { poll: { interval: 10, timeout: 30_000 } },
  },
})

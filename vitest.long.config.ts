import { defineConfig } from 'vitest/config'
import { VersionsLast } from './test/support/versions-last.ts'
import config from './vitest.config.ts'

/** What takes minutes, and what takes many seconds: npm run test:long. All of it has half an hour. */
export default defineConfig({
  test: {
    ...config.test,
    include: ['test/long/**/*.test.ts', 'test/**/*.long.test.ts'],
    exclude: [],
    // One after the other: they measure growth, and bring load of their own.
    maxWorkers: 1,
    sequence: { sequencer: VersionsLast },
    globalSetup: ['./test/support/build-age.ts', './test/support/half-an-hour.ts'],
    testTimeout: 10 * 60_000,
    hookTimeout: 3 * 60_000,
  },
})

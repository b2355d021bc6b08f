import { defineConfig } from 'vitest/config'
import config from './vitest.config.ts'
import { onSources } from './vitest.sources.ts'

/** For `npm run coverage`: the tests of `npm test`, against the sources. A report for reading, no gate. */
export default defineConfig({
  plugins: onSources.plugins,
  resolve: { alias: onSources.alias },
  test: {
    ...config.test,
    coverage: {
      enabled: true,
      provider: 'v8',
      include: ['src/**/*.ts'],
      // They run in threads and processes of their own, from the build.
      exclude: ['src/**/worker.ts', 'src/**/*-worker.ts'],
      reporter: ['text-summary', 'html', 'json-summary'],
      reportOnFailure: true,
    },
  },
})

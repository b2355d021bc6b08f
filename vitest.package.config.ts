import { defineConfig } from 'vitest/config'
import config, { OF_PACKAGE } from './vitest.config.ts'

/** The package as it is published, and its types: part of npm run check. */
export default defineConfig({ test: { ...config.test, include: OF_PACKAGE, exclude: [] } })

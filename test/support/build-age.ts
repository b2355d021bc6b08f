/** Tells every test file whether dist/ is the build of the sources. */

import type { TestProject } from 'vitest/node'
import { staleDist } from '../../tools/stale-dist.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The fault of dist/; empty if it has none. */
    staleDist: string
  }
}

export default function setup(project: TestProject): void {
  const tell = (): void => project.provide('staleDist', staleDist(project.config.root) ?? '')
  tell()
  project.onTestsRerun(async () => tell())
}

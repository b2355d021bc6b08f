/** Ends a run of the long tests that would outlast its budget, before a CI job is ended from outside without a word. */

import type { TestProject } from 'vitest/node'

const BUDGET_MINUTES = 30

declare module 'vitest' {
  interface ProvidedContext {
    /** When the budget of the long tests is used up, in milliseconds since the epoch. */
    longTestsEndAt: number
  }
}

export default function setup(project: TestProject): () => void {
  project.provide('longTestsEndAt', Date.now() + BUDGET_MINUTES * 60_000)
  const timer = setTimeout(() => {
    console.error(`the long tests have taken more than ${BUDGET_MINUTES} minutes`)
    process.exit(1)
  }, BUDGET_MINUTES * 60_000)
  timer.unref()
  return () => clearTimeout(timer)
}

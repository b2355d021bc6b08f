/** One line at the end of a run: the skipped tests, and the missing requirements. */

import type { Reporter, TestCase, TestModule, TestSuite, Vitest } from 'vitest/node'
import type {} from './needs.ts'

/** Of a skipped test: its own note, or what it or a suite around it needs. */
function reasonOf(test: TestCase): string | undefined {
  const result = test.result()
  if (result.state === 'skipped' && result.note) return result.note
  let task: TestCase | TestSuite | TestModule = test
  for (;;) {
    const { needs } = task.meta()
    if (needs) return `no ${needs}`
    if (task.type === 'module') return undefined
    task = task.parent
  }
}

/** @param isFiltered tests whose names were not asked for count as skipped, too; they are no news */
export function summaryOf(modules: readonly TestModule[], isFiltered: boolean): string {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  const reasons = new Map<string, number>()
  for (const test of modules.flatMap((module) => [...module.children.allTests()])) {
    const { state } = test.result()
    if (state !== 'skipped') {
      counts[state === 'passed' ? 'passed' : 'failed']++
      continue
    }
    const reason = reasonOf(test)
    if (!reason && isFiltered) continue
    counts.skipped++
    const why = reason ?? `no reason given by ${test.fullName}`
    reasons.set(why, (reasons.get(why) ?? 0) + 1)
  }
  const why = [...reasons].map(([reason, count]) => (count === 1 ? reason : `${reason}, ${count} tests`)).join('; ')
  const { passed, failed, skipped } = counts
  const broken = modules.filter((module) => module.errors().length > 0).length
  const files = broken > 0 ? `, ${broken} file${broken > 1 ? 's' : ''} not run` : ''
  return `tests: ${passed} passed, ${failed} failed${files}; skipped: ${skipped}${why ? ` (${why})` : ''}`
}

export default class Summary implements Reporter {
  private isFiltered = false

  onInit({ config }: Vitest): void {
    this.isFiltered = config.testNamePattern !== undefined
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    console.log(`${summaryOf(modules, this.isFiltered)}\n`)
  }
}

/** Checks values against declarations, and refuses them with all problems at once. */

import { ModelmountError } from '../errors.ts'
import type { AnyKind, Problem } from './kinds.ts'

/** All that is wrong with a value. @param path of the value, in front of its keys */
export function faults({ check }: AnyKind, value: unknown, path: string): string[] {
  const problems: Problem[] = []
  check(value, problems)
  return problems.map((problem) => problem(path))
}

/** @throws ModelmountError `OPTIONS_INVALID` with `details.problems`, where there are any */
export function refuse(problems: readonly string[]): void {
  if (problems.length === 0) return
  throw new ModelmountError(
    'OPTIONS_INVALID',
    problems.length === 1 ? `${problems[0]}` : `${problems.length} problems: ${problems.join('; ')}`,
    { details: { problems } },
  )
}

/** @throws ModelmountError `OPTIONS_INVALID` with `details.problems` */
export function ensure({ check }: AnyKind, value: unknown, path: string): void {
  const problems: Problem[] = []
  check(value, problems)
  if (problems.length > 0) refuse(problems.map((problem) => problem(path)))
}

/** Requirements of tests that not every machine meets. The summary at the end of the run names the missing ones. */

import { availableParallelism } from 'node:os'

declare module 'vitest' {
  interface TaskMeta {
    /** Named where the test, or those in the suite, are skipped for lack of it. */
    needs?: string
  }
}

export interface Needs {
  readonly skip: boolean
  readonly meta: { readonly needs?: string }
}

/** Options of a test or a suite that is skipped where something is missing. */
export const needs = (what: string, isThere: boolean): Needs => ({ skip: !isThere, meta: isThere ? {} : { needs: what } })

export const LINUX = needs('Linux', process.platform === 'linux')
export const POSIX = needs('a POSIX system', process.platform !== 'win32')
export const TWO_CPUS = needs('two CPUs', availableParallelism() >= 2)

/** The life of one model version: it loads, serves, drains and is gone, or its load fails. What there is of it in one phase is in no other. */

import type { ModelmountError } from '../errors.ts'
import type { Serving } from './load/enter.ts'
import type { Running } from './running.ts'
import type { ModelState } from './types.ts'

/** A load that is under way. */
export interface Loading {
  /** Resolves when it has ended, however it did. */
  readonly ended: Promise<void>
  /** What only waits need not wait any more. */
  hurry(): void
}

export type Phase =
  | { readonly name: 'waiting' }
  | { readonly name: 'reading'; readonly loading: Loading }
  /** Its instances load, or wait for memory. */
  | { readonly name: 'starting'; readonly loading: Loading; readonly running: Running }
  | { readonly name: 'serving'; readonly serving: Serving }
  | { readonly name: 'failed'; readonly reason: ModelmountError; readonly closed: Promise<void> }
  | { readonly name: 'draining'; readonly serving: Serving }
  | { readonly name: 'unloaded' }

export const STATES: Readonly<Record<Phase['name'], ModelState>> = {
  waiting: 'loading',
  reading: 'loading',
  starting: 'loading',
  serving: 'ready',
  failed: 'failed',
  draining: 'draining',
  unloaded: 'unloaded',
}

/** Instances, queue and memory, in the phases that have them. */
export function runningIn(phase: Phase): Running | undefined {
  if ('serving' in phase) return phase.serving
  return 'running' in phase ? phase.running : undefined
}

/** The life of one model version: it loads, serves, drains and is gone, or its load fails. Each phase holds only the parts that exist in it. */

import type { ModelmountError } from '../errors.ts'
import type { Serving } from './load/enter.ts'
import type { Running } from './running.ts'
import type { ModelState } from './types.ts'

/** A load that is under way. */
export interface Loading {
  /** Resolves when it has ended, however it did. */
  readonly ended: Promise<void>
  /** Ends waits: a step that only waits need not wait any more. */
  hurry(): void
}

/** A load that came to nothing. */
export interface Failure {
  readonly reason: ModelmountError
  /** The parts that it had started by then; all of them are closed. */
  readonly running: Running | undefined
  /** Resolves when that is gone. */
  readonly closed: Promise<void>
}

export type Phase =
  | { readonly name: 'waiting' }
  | { readonly name: 'reading'; readonly loading: Loading }
  /** Its instances load, or wait for memory. */
  | { readonly name: 'starting'; readonly loading: Loading; readonly running: Running }
  | { readonly name: 'serving'; readonly serving: Serving }
  | { readonly name: 'failed'; readonly failure: Failure }
  | { readonly name: 'draining'; readonly serving: Serving }
  /** Its last figures can still be read. */
  | { readonly name: 'unloaded'; readonly serving: Serving }
  /** Unloaded without having served. */
  | { readonly name: 'dropped'; readonly failure: Failure | undefined }

export const STATES: Readonly<Record<Phase['name'], ModelState>> = {
  waiting: 'loading',
  reading: 'loading',
  starting: 'loading',
  serving: 'ready',
  failed: 'failed',
  draining: 'draining',
  unloaded: 'unloaded',
  dropped: 'unloaded',
}

/** Instances, queue and memory, in the phases that have them. */
export function runningIn(phase: Phase): Running | undefined {
  if ('serving' in phase) return phase.serving
  return 'running' in phase ? phase.running : failureIn(phase)?.running
}

export const failureIn = (phase: Phase): Failure | undefined => ('failure' in phase ? phase.failure : undefined)

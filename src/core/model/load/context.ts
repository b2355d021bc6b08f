/** The tools of every step of a load, beside the results of the steps before it. */

import type { About } from '../about.ts'
import type { ModelDeps } from '../deps.ts'
import type { Resource } from '../resources.ts'
import type { Running } from '../running.ts'
import type { Statistics } from '../statistics.ts'
import type { LoadTimes } from './times.ts'

export interface LoadContext {
  readonly deps: ModelDeps
  /** The facts so far. */
  known(): About
  /** Adds to it. */
  learn(more: Partial<About>): void
  /** From here on there are instances to report. */
  begun(running: Running): void
  readonly times: LoadTimes
  readonly statistics: Statistics
  /** Notes what must be given back, whether the load fails or the model is drained later. */
  take(resource: Resource): void
  /** Called once when the load has ended, however it did. */
  atEnd(action: () => void): void
  /** Called when the model is unloaded while it loads: a step that only waits need not wait any more. */
  whenUnwanted(action: () => void): void
  /** True once it was unloaded, also after the load. */
  unwanted(): boolean
}

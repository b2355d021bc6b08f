/** What every step of a load may use beside what the steps before it have returned. */

import type { About } from '../about.ts'
import type { ModelDeps } from '../deps.ts'
import type { Resource } from '../resources.ts'
import type { Running } from '../running.ts'
import type { Statistics } from '../statistics.ts'
import type { LoadTimes } from './times.ts'

export interface LoadContext {
  readonly deps: ModelDeps
  /** What is known by now. */
  known(): About
  /** Adds to it. */
  learn(more: Partial<About>): void
  /** From here on there are instances to tell of. */
  begun(running: Running): void
  readonly times: LoadTimes
  readonly statistics: Statistics
  /** Notes what must be given back, whether the load fails or the model is drained later. */
  take(resource: Resource): void
  /** Called once when the load has ended, however it did. */
  atEnd(action: () => void): void
  /** Called when the model is unloaded while it loads: what only waits need not wait any more. */
  whenUnwanted(action: () => void): void
  /** True once it was unloaded, also after the load. */
  unwanted(): boolean
}

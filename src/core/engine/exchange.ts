/**
 * Moves the instances of a model that serves to the form in use, or out of a place that is not theirs any more. They move one by one: the old
 * one serves until the new one is ready.
 */

import type { Clock, Timer } from '../host/clock.ts'
import type { Crew } from './crew.ts'
import type { Instance } from './instance.ts'
import type { Launched, Launcher } from './launch.ts'
import type { Recovery } from './recovery.ts'

export interface Exchange {
  readonly busy: boolean
  /** Replaces instances that are stale or have not loaded the form in use; does nothing while that goes on. */
  run(): Promise<void>
  /** Takes another try back. */
  cancel(): void
}

interface Deps {
  readonly clock: Clock
  readonly crew: Crew
  readonly launcher: Launcher
  readonly recovery: Recovery
  /** The model takes no more instances. */
  isStopped(): boolean
  /** Starts the instances that were left out. */
  fill(): Promise<void>
  /** One is in service. */
  announce(launched: Launched): void
  /** One less. */
  dropOne(): void
}

export function createExchange({ clock, crew, launcher, recovery, isStopped, fill, announce, dropOne }: Deps): Exchange {
  let busy = false
  let again: Timer | undefined

  const outdated = (): Instance | undefined => crew.outdated(launcher.form)

  async function run(): Promise<void> {
    if (busy) return
    busy = true
    try {
      await fill()
      for (let old = outdated(); old && !isStopped(); old = outdated()) {
        const launched = await launcher.launch()
        recovery.started()
        // Keep the old instance rather than lose capacity.
        if (launched.lost !== undefined) return
        crew.add(launched)
        announce(launched)
        // The old one may have crashed or been dropped meanwhile.
        if (crew.has(old)) crew.retire(old)
        else dropOne()
      }
    } catch (error) {
      // The existing instances continue. The reason why the shared form cannot be loaded was reported already.
      if (launcher.isRefusal(error)) runIn(recovery.refused(error))
    } finally {
      busy = false
    }
  }

  function runIn(ms: number): void {
    if (isStopped()) return
    again?.cancel()
    again = clock.after(ms, () => void run())
  }

  return {
    get busy() {
      return busy
    },
    run,
    cancel: () => again?.cancel(),
  }
}

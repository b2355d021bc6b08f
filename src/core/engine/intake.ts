/** Takes instances into service: the first of a model, those that were left out then, and one more at a time. */

import { ModelmountError } from '../errors.ts'
import type { Crew } from './crew.ts'
import type { Launched, Launcher } from './launch.ts'
import type { Loaded } from './messages.ts'
import type { Recovery } from './recovery.ts'

export interface ReadyEvent {
  readonly type: 'worker-ready'
  readonly loadMs: number
}

export interface Intake {
  /** The first so many; rejects when one of them cannot load. */
  first(count: number): Promise<Loaded>
  /** Starts those that `first()` left out. */
  fill(): Promise<void>
  /** One more for a model that serves already. */
  another(): Promise<void>
  /** One is in service, unless it is gone again already. */
  announce(launched: Launched): void
}

interface Deps {
  /** Least number of instances. */
  readonly min: number
  readonly crew: Crew
  readonly launcher: Launcher
  /** The model takes no more instances for the time being. */
  isStopped(): boolean
  /** It takes none for good. */
  isClosed(): boolean
  recovery(): Recovery
  /** The least number is wanted, and about to be started. */
  begin(): void
  /** Moves the others to the form in use. */
  exchange(): Promise<void>
  emit(event: ReadyEvent): void
  onChange(): void
}

export function createIntake(deps: Deps): Intake {
  const { min, crew, launcher, isStopped } = deps
  /** Wanted, and left out at the start. */
  let missing = 0

  /** One more. It may be gone again already, and is then replaced like any other. */
  async function add(): Promise<Launched> {
    const launched = await launcher.launch()
    const recovery = deps.recovery()
    recovery.started()
    if (launched.lost === undefined) crew.add(launched)
    else recovery.lost(launched.lost)
    // It was starting when the others moved.
    if (launched.instance.stale || (launcher.form && launched.form !== launcher.form)) void deps.exchange()
    return launched
  }

  function announce({ loaded: { loadMs }, lost }: Launched): void {
    if (isStopped() || lost !== undefined) return
    deps.emit({ type: 'worker-ready', loadMs })
    deps.onChange()
  }

  function refuseClosed(): void {
    if (deps.isClosed()) throw new ModelmountError('SERVER_CLOSED', 'the server is closing')
  }

  return {
    /** One proves the model before memory is spent on the others. */
    async first(count) {
      refuseClosed()
      missing = min - count
      deps.begin()
      const { loaded } = await add()
      // An instance started after the end would never be ended.
      refuseClosed()
      const others = await Promise.allSettled(Array.from({ length: count - 1 }, add))
      const failed = others.find((result) => result.status === 'rejected')
      if (failed) throw failed.reason
      refuseClosed()
      return loaded
    },
    async fill() {
      const count = missing
      missing = 0
      // A failed start is retried like a crashed instance.
      await Promise.all(Array.from({ length: count }, deps.recovery().restart))
    },
    async another() {
      if (!isStopped()) announce(await add())
    },
    announce,
  }
}

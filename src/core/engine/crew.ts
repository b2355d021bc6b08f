/** The instances of a model that serve, and those on their way out. */

import { measurePrivateBytes } from './footprint.ts'
import type { Instance } from './instance.ts'
import type { Launched, SharedForm } from './launch.ts'

export interface Crew {
  readonly size: number
  /** Those that can take work. */
  ready(): Instance[]
  has(instance: Instance): boolean
  add(launched: Launched): void
  /** Its worker went away. @returns false for one that was retired */
  lose(instance: Instance): boolean
  /** Ends one that is no longer needed, after what is in flight. */
  retire(instance: Instance): void
  /** One that is stale, or has loaded something else than the form in use. */
  outdated(form: SharedForm | undefined): Instance | undefined
  /** Last measured private memory of an instance, if it can be measured. */
  measure(): number | undefined
  /** Ends all of them, after what is in flight. They are members until `clear()`. */
  endAll(): Promise<unknown>
  clear(): void
  /** Ends all of them at once, where the tier can. */
  kill(reason: string): void
}

export function createCrew(): Crew {
  const instances = new Set<Instance>()
  const forms = new WeakMap<Instance, SharedForm | undefined>()
  /** Retired, until they are gone. */
  const leaving = new Map<Instance, Promise<void>>()
  let measured: number | undefined

  const ready = (): Instance[] => [...instances].filter((instance) => instance.ready)

  return {
    get size() {
      return instances.size
    },
    ready,
    has: (instance) => instances.has(instance),
    add({ instance, form }) {
      forms.set(instance, form)
      instances.add(instance)
    },
    lose: (instance) => instances.delete(instance),
    retire(instance) {
      instances.delete(instance)
      leaving.set(
        instance,
        instance.close().finally(() => leaving.delete(instance)),
      )
    },
    outdated: (form) =>
      [...instances].find((instance) => instance.stale === true || (form !== undefined && forms.get(instance) !== form)),
    measure() {
      measured = measurePrivateBytes(ready()) ?? measured
      return measured
    },
    endAll: () => Promise.all([...[...instances].map((instance) => instance.close()), ...leaving.values()]),
    clear: () => instances.clear(),
    kill(reason) {
      for (const instance of [...instances, ...leaving.keys()]) instance.kill(reason)
    },
  }
}

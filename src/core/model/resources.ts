/** The resources that a model takes from its host and must give back: at once when its load fails, one after the other when it is drained. */

import type { ModelmountError } from '../errors.ts'

export interface Resource {
  /** Resolves when it is given back, after what it has accepted. */
  close(): Promise<void> | void
  /** Gives up what `close()` waits for. */
  abandon?(error: ModelmountError): void
}

export interface Resources {
  add(resource: Resource): void
  /** The last one first, each after the one before. */
  close(): Promise<void>
  /** All of them without waiting for each other: a thread that hangs in native code keeps nothing but itself. */
  closeAtOnce(): Promise<void>
  abandon(error: ModelmountError): void
}

export function createResources(): Resources {
  const taken: Resource[] = []
  return {
    add(resource) {
      taken.unshift(resource)
    },
    async close() {
      for (const resource of taken) await resource.close()
    },
    async closeAtOnce() {
      await Promise.all(taken.map((resource) => resource.close()))
    },
    abandon(error) {
      for (const resource of taken) resource.abandon?.(error)
    },
  }
}

/** How long a model with too many instances is watched before one goes: longer each time that it had to grow again soon after. */

/** Growing soon after shrinking slows the next shrinking down, at most this many times. */
const MAX_PATIENCE = 8

export interface Patience {
  /** Time of little load after which one instance goes. */
  readonly idleMs: number
  shrank(now: number): void
  grew(now: number): void
}

/** @param idleMs the time for a model that has never grown soon after shrinking */
export function createPatience(idleMs: number): Patience {
  let times = 1
  /** Set until the model grows again. */
  let shrankAt: number | undefined
  return {
    get idleMs() {
      return idleMs * times
    },
    shrank(now) {
      shrankAt = now
    },
    grew(now) {
      if (shrankAt === undefined) return
      times = now - shrankAt < idleMs * times ? Math.min(MAX_PATIENCE, times * 2) : 1
      shrankAt = undefined
    },
  }
}

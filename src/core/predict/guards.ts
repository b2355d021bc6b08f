/** Asks the guards of all extensions of a server. */

import { isModelmountError, ModelmountError } from '../errors.ts'
import type { Extension } from './extension.ts'
import type { Demand, Guard } from './guard.ts'

export interface Guards {
  /** A promise only where a guard decides later. @throws ModelmountError the refusal of a guard */
  ask(demand: Demand): void | Promise<void>
  /**
   * For methods that return at once.
   * @throws ModelmountError the refusal of a guard, and `FORBIDDEN` where one would decide later
   */
  askAtOnce(demand: Demand): void
}

interface Named {
  readonly name: string
  readonly guard: Guard
}

/** @returns `undefined` where there are no guards, so that none is asked */
export function guardsOf(
  extensions: readonly Extension[],
  report: (message: string, error: ModelmountError) => void,
): Guards | undefined {
  const all = extensions.flatMap(({ name, guards = [] }) => guards.map((guard): Named => ({ name, guard })))
  if (all.length === 0) return undefined

  function refuse(name: string, cause: unknown): never {
    if (isModelmountError(cause)) throw cause
    const error = new ModelmountError('INTERNAL', 'internal error', { cause })
    report(`a guard of extension '${name}' failed`, error)
    throw error
  }

  function askOne({ name, guard }: Named, demand: Demand): void | Promise<void> {
    try {
      const later = guard(demand)
      return isPromise(later) ? Promise.resolve(later).catch((cause: unknown) => refuse(name, cause)) : undefined
    } catch (cause) {
      return refuse(name, cause)
    }
  }

  async function askRest(first: Promise<void>, rest: readonly Named[], demand: Demand): Promise<void> {
    await first
    // One after the other: a guard is asked where all before it agree.
    for (const named of rest) await askOne(named, demand)
  }

  return {
    ask(demand) {
      for (const [index, named] of all.entries()) {
        const later = askOne(named, demand)
        if (later) return askRest(later, all.slice(index + 1), demand)
      }
    },
    askAtOnce(demand) {
      for (const named of all) {
        const later = askOne(named, demand)
        if (!later) continue
        // Its decision comes too late.
        later.catch(() => {})
        throw late(named.name, demand)
      }
    },
  }
}

const isPromise = (value: unknown): value is PromiseLike<void> =>
  typeof (value as { then?: unknown } | null | undefined)?.then === 'function'

const late = (name: string, { action }: Demand): ModelmountError =>
  new ModelmountError(
    'FORBIDDEN',
    `a guard of extension '${name}' decides later, and this method returns at once: the guard must decide '${action}' at once where via is 'server'`,
  )

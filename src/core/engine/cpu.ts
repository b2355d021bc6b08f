/**
 * The CPUs that all models of a server share. Instances times threads stays within what the host was granted, less a reserve for its event
 * loop; what a user asks for by number is done all the same, with a warning.
 */

import { availableParallelism } from 'node:os'

/** With two CPUs or one there is nothing to spare: the kernel lets the event loop in between runs. */
const SPARE_FROM = 3

/** CPUs for models out of those that this process was granted. */
export const cpusForModels = (granted: number = availableParallelism()): number => (granted >= SPARE_FROM ? granted - 1 : granted)

/** What a model version asks for. */
export interface CpuDemand {
  readonly name: string
  readonly min: number
  readonly max: number
  /** Threads of one run that the user asked for; `undefined` for a fair share. */
  readonly threads: number | undefined
}

export interface CpuGrant {
  /** Threads of one run. */
  readonly threads: number
  /** What the user's numbers ask for beyond the budget, in a sentence. */
  readonly excess: string | undefined
  /** Counts instances; more than `min` only as long as the budget holds them. Returns how many it may be. */
  use(instances: number): number
  release(): void
}

export interface CpuBudget {
  readonly cpus: number
  /** Tells of models that are about to load together, so that they share fairly whichever comes first. */
  expect(demands: readonly CpuDemand[]): void
  grant(demand: CpuDemand): CpuGrant
}

interface Entry {
  readonly name: string
  readonly threads: number
  /** Threads that the user asked for by number; 0 for one instance with its fair share. */
  readonly asked: number
  instances: number
}

export function createCpuBudget(cpus: number = cpusForModels()): CpuBudget {
  const entries = new Set<Entry>()
  let share: number | undefined
  const expected = new Set<string>()

  /**
   * A sum over the models beside one. Versions of one name count as the largest of them: traffic moves from one to the other, and a
   * version that replaces another must not get what the other leaves.
   */
  function sumBeside(name: string, of: (entry: Entry) => number): number {
    const byName = new Map<string, number>()
    for (const entry of entries) {
      if (entry.name !== name) byName.set(entry.name, Math.max(byName.get(entry.name) ?? 0, of(entry)))
    }
    return [...byName.values()].reduce((sum, threads) => sum + threads, 0)
  }

  const usedBeside = (name: string): number => sumBeside(name, ({ threads, instances }) => threads * instances)

  const fair = (count: number, instances: number): number => Math.max(1, Math.floor(count / Math.max(1, instances)))

  function threadsFor({ name, max, threads }: CpuDemand): number {
    if (threads !== undefined) return threads
    const whole = fair(cpus, max)
    if (expected.has(name) && share !== undefined) return Math.min(whole, share)
    return Math.min(whole, fair(cpus - usedBeside(name), max))
  }

  /** Fair shares are never too much: one instance with one thread is the least there is. */
  function excessOf({ name, asked, threads }: Entry): string | undefined {
    const beside = sumBeside(name, (entry) => entry.asked)
    if (asked === 0 || asked + beside <= cpus) return undefined
    const others = beside > 0 ? ` beside ${count(beside, 'thread')} that other models were given` : ''
    const own = `${count(asked / threads, 'instance')} with ${count(threads, 'thread')} each${others}`
    return `${own}: more than the ${count(cpus, 'CPU')} for models`
  }

  return {
    cpus,
    expect(demands) {
      const instances = new Map<string, number>()
      let taken = 0
      for (const { name, max, threads, min } of demands) {
        if (threads === undefined) instances.set(name, Math.max(instances.get(name) ?? 0, max))
        else taken += threads * min
      }
      expected.clear()
      for (const name of instances.keys()) expected.add(name)
      share = fair(
        cpus - taken,
        [...instances.values()].reduce((sum, count) => sum + count, 0),
      )
    },
    grant(demand) {
      const threads = threadsFor(demand)
      const asked = demand.min > 1 || demand.threads !== undefined ? demand.min * threads : 0
      const entry: Entry = { name: demand.name, threads, asked, instances: 0 }
      const excess = excessOf(entry)
      entries.add(entry)
      return {
        threads,
        excess,
        use(instances) {
          const most = Math.floor((cpus - usedBeside(demand.name)) / threads)
          entry.instances = Math.min(instances, Math.max(demand.min, most))
          return entry.instances
        },
        release: () => void entries.delete(entry),
      }
    },
  }
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`

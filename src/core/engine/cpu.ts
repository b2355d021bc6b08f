/**
 * The CPUs that all models of a server share. Instances times threads stays within the host's grant, minus a reserve for its event loop.
 * Numbers set by the user are obeyed in any case, with a warning.
 */

import { availableParallelism } from 'node:os'

/** With one or two CPUs there is nothing to spare: the kernel lets the event loop in between runs. */
const SPARE_FROM = 3

/** CPUs for models, out of those granted to this process. */
export const cpusForModels = (granted: number = availableParallelism()): number => (granted >= SPARE_FROM ? granted - 1 : granted)

/** Demands of a model version. */
export interface CpuDemand {
  readonly name: string
  readonly min: number
  readonly max: number
  /** Threads of one run, set by the user; `undefined` for a fair share. */
  readonly threads: number | undefined
}

export interface CpuGrant {
  /** Threads of one run. */
  readonly threads: number
  /** The excess of the user's numbers over the budget, in a sentence. */
  readonly excess: string | undefined
  /** Counts instances; more than `min` only while the budget allows them. Returns the permitted number. */
  use(instances: number): number
  release(): void
}

export interface CpuBudget {
  readonly cpus: number
  /** Announces models that are about to load together, so that they share fairly in any order. */
  expect(demands: readonly CpuDemand[]): void
  grant(demand: CpuDemand): CpuGrant
}

interface Entry {
  readonly name: string
  readonly threads: number
  /** Threads that the user set by number; 0 for one instance with its fair share. */
  readonly asked: number
  instances: number
}

export function createCpuBudget(cpus: number = cpusForModels()): CpuBudget {
  const entries = new Set<Entry>()
  let share: number | undefined
  const expected = new Set<string>()

  /**
   * A sum over the other models. Versions of one name count as the largest of them, because traffic moves from one to the other.
   * A replacement must not get only the remainder of its predecessor.
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

  /** Fair shares are never too much: one instance with one thread is the minimum. */
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

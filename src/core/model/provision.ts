/** CPU and memory of one model: the share of its instances, their greatest number, and its place among the models in memory. */

import type { CpuBudget, CpuDemand, CpuGrant } from '../engine/cpu.ts'
import { guessFootprint, type Holding, seatBytes, sharedBytes } from '../engine/footprint.ts'
import type { InlineTier } from '../engine/inline/tier.ts'
import type { Pool } from '../engine/pool.ts'
import type { Berth } from '../engine/seats/berth.ts'
import type { MemoryInfo } from '../engine/types.ts'
import { printable } from '../host/printable.ts'
import type { ModelConfig } from '../options/index.ts'
import type { Scheduler } from '../scheduler/scheduler.ts'
import type { ModelEvent } from './deps.ts'
import type { Residency } from './residency/residency.ts'
import type { Slot } from './residency/slot.ts'
import type { Weights } from './weights/weights.ts'

/** Instances of a model that is in memory: one at least. */
export const leastInstances = ({ instances }: ModelConfig): number => Math.max(1, instances.min)

export const cpuDemandOf = (config: ModelConfig): CpuDemand => ({
  name: config.name,
  min: leastInstances(config),
  max: config.instances.max,
  threads: config.threads,
})

export interface Provision {
  readonly slot: Slot
  /** Memory of the instances: measured where that is possible, else guessed from the weights. */
  memory(): MemoryInfo
  /** Reserves for that many instances. @returns how many CPU and memory allow; the least number is never refused */
  claim(instances: number): number
}

interface Deps {
  readonly cpu: CpuBudget
  readonly residency: Residency
  readonly grant: CpuGrant
  readonly weights: Weights
  readonly weightBytes: number
  readonly pool: Pool
  readonly scheduler: Scheduler
  /** Its session on the host takes memory, too. */
  readonly inline: InlineTier | undefined
  /** Where it may share a thread. */
  readonly berth: Berth | undefined
  /** Starts the instances for the first time; the pool starts them when they come back later. */
  first(): Promise<void>
  emit(event: ModelEvent): void
}

export function createProvision(config: ModelConfig, deps: Deps): Provision {
  const { cpu, grant, weights, weightBytes, pool, scheduler, inline, berth, emit } = deps
  const { isolation } = config
  let bringIn = async (): Promise<void> => {
    await deps.first()
    bringIn = pool.resume
  }
  let cramped = false

  function memory(): MemoryInfo {
    const packs = config.session.extra['session.disable_prepacking'] !== '1'
    const holding: Holding = weights.info.form === 'shared' ? 'mapped' : packs ? 'packed' : 'raw'
    const perInstanceBytes = pool.privateBytes
    if (perInstanceBytes !== undefined)
      return { perInstanceBytes, sharedBytes: sharedBytes(weightBytes, holding), basis: 'measured' }
    const guess = guessFootprint(weightBytes, isolation, holding, berth?.seats && seatBytes(berth.seats))
    return inline && inline.bytes > 0 ? { ...guess, inlineBytes: inline.bytes } : guess
  }

  function bytes(): number {
    const instances = Math.max(leastInstances(config), pool.target)
    const { perInstanceBytes, sharedBytes, inlineBytes = 0 } = memory()
    if (!weights.pending) return inlineBytes + sharedBytes + perInstanceBytes * instances
    // One has its own copy; the others will share theirs, or sharing would need the memory that it saves.
    const others = guessFootprint(weightBytes, isolation, 'mapped')
    return perInstanceBytes + others.sharedBytes + others.perInstanceBytes * (instances - 1)
  }

  const slot = deps.residency.slot({
    idleUnloadMs: config.idleUnloadMs,
    loadTimeoutMs: config.loadTimeoutMs,
    bytes,
    size: () => `${weightBytes} bytes of weights, ${leastInstances(config)} instances`,
    busy: () => scheduler.stats.waiting + scheduler.stats.running > 0,
    settled: () => pool.settled,
    usedAt: () => pool.usedAt,
    load: () => bringIn(),
    async unload() {
      await inline?.rest()
      await pool.park()
    },
    moved: (resident, reason) => emit({ type: 'residency', resident, reason }),
    failed(error) {
      emit({ type: 'warning', message: withRoot(error) })
      scheduler.abandon(error)
    },
  })

  return {
    slot,
    memory,
    claim(instances) {
      const before = pool.target
      let most = grant.use(instances)
      const { perInstanceBytes } = memory()
      while (most > Math.max(before, leastInstances(config)) && !slot.fits((most - before) * perInstanceBytes)) most--
      if (instances > before && most < instances && !cramped) {
        cramped = true
        const bound = grant.use(instances) < instances ? `the ${cpu.cpus} CPUs for models` : 'memory.budgetBytes'
        emit({ type: 'warning', message: `more than ${most} instances would help, but ${bound} are in use` })
      }
      return grant.use(most)
    },
  }
}

/** For the log: the message for callers, and the cause behind it. */
function withRoot(error: Error): string {
  let root = error
  while (root.cause instanceof Error) root = root.cause
  return error.message.includes(root.message) ? error.message : `${error.message}: ${printable(root.message).slice(0, 1000)}`
}

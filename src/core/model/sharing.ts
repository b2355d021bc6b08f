/** Moves the instances of a model that serves to weights that all of them map, once that form was made and tried. */

import type { TensorRecord } from '../engine/frame.ts'
import type { Pool } from '../engine/pool.ts'
import type { ModelEvent } from './deps.ts'
import type { Provision } from './provision.ts'
import type { Weights } from './weights/weights.ts'

export interface Sharing {
  /** With one instance at work already. @param usual makes inputs of the usual sizes */
  begin(usual: () => readonly TensorRecord[], fetches: readonly string[]): void
  /** Resolves when instances no longer start or change their form for it. */
  readonly done: Promise<void>
}

interface Deps {
  readonly pool: Pool
  readonly weights: Weights
  readonly provision: Provision
  /** True once the model is being unloaded. */
  unwanted(): boolean
  emit(event: ModelEvent): void
}

export function createSharing({ pool, weights, provision, unwanted, emit }: Deps): Sharing {
  let done = Promise.resolve()

  async function share(usual: () => readonly TensorRecord[], fetches: readonly string[]): Promise<void> {
    const form = await weights.make(usual(), fetches)
    if (unwanted()) return
    if (form) return pool.adopt(form)
    if (!provision.slot.fits(0))
      emit({ type: 'warning', message: 'without shared weights the models take more memory than memory.budgetBytes' })
    await pool.fill()
  }

  return {
    begin(usual, fetches) {
      if (weights.pending) done = share(usual, fetches)
    },
    get done() {
      return done
    },
  }
}

/** Carries the state of a sequence from one request to the next. */

import type { BufferPool } from '../engine/buffer-pool.ts'
import type { Tensor } from '../tensor/types.ts'
import { bytesOf, type SequencePlan } from './plan.ts'
import { notOpen } from './refusals.ts'
import type { SequenceTable } from './sequence-table.ts'
import type { Tensors, Turn } from './turn.ts'

export interface StateCarrier {
  /** The state that a request begins with. @throws ModelmountError `SEQUENCE_NOT_FOUND`, `SEQUENCE_LIMIT`, `INPUT_INVALID` */
  before(turn: Turn): Tensors
  /** All inputs of its run. The run keeps them. @param before of `before()` */
  feed(turn: Turn, before: Tensors): Tensors
  /** Takes the new state from the outputs. Throws if it cannot be kept; the old one then remains. */
  keep(turn: Turn, outputs: Tensors, before: Tensors): void
}

interface Deps {
  readonly model: string
  readonly idleTimeoutMs: number
  readonly table: SequenceTable<Turn>
  /** Memory for copies of large state. @default fresh */
  readonly buffers: BufferPool | undefined
}

export function createStateCarrier(plan: SequencePlan, { model, idleTimeoutMs, table, buffers }: Deps): StateCarrier {
  return {
    before({ sequence, call, inputs }) {
      if (call.start) {
        // The sequence before is over, whatever the outcome.
        sequence.state = 'none'
        table.setAside(sequence, plan.freshBytes(inputs))
        return plan.fresh(inputs)
      }
      const { state } = sequence
      if (state === 'none') throw notOpen(model, call, idleTimeoutMs)
      plan.check(inputs, state)
      return state
    },
    feed({ call, inputs }, before) {
      // The old state must survive for another try.
      const state = call.start ? before : copied(before, buffers)
      return Object.assign(Object.create(null), inputs, state, plan.controls(inputs, call))
    },
    keep({ sequence, call, closes }, outputs, before) {
      const state = plan.next(outputs, before)
      if (call.end || closes) table.close(sequence)
      else {
        table.setAside(sequence, bytesOf(state))
        sequence.state = state
      }
    },
  }
}

function copied(state: Tensors, buffers: BufferPool | undefined): Tensors {
  const copies: Record<string, Tensor> = Object.create(null)
  for (const [name, tensor] of Object.entries(state)) {
    if (tensor.type === 'string') copies[name] = tensor
    else copies[name] = { ...tensor, data: buffers ? buffers.copy(tensor.data) : tensor.data.slice() } as Tensor
  }
  return copies
}

/** Messages of a worker, for workers and instances that are made up. */

import type { Instance } from '../../src/core/engine/instance.ts'
import type { Loaded } from '../../src/core/engine/messages.ts'
import type { Run, RunOutcome } from '../../src/core/engine/run.ts'
import { FORMAT, isPacket, type Packet } from '../../src/core/engine/wire/format.ts'
import { NO_SESSION } from '../../src/core/engine/wire/names.ts'
import { type OpenMessage, type RowsAnswer, seal } from '../../src/core/engine/wire/open.ts'
import { mapOf, type Received, read } from '../../src/core/engine/wire/read.ts'
import { type Answered, packAnswers } from '../../src/core/engine/wire/runs.ts'
import type { Sent } from '../../src/core/engine/wire/write.ts'
import type { Tensor } from '../../src/core/tensor/types.ts'

/** A session of which nothing is said. */
export const LOADED: Loaded = {
  kind: 'loaded',
  format: FORMAT,
  inputs: [],
  outputs: [],
  provider: 'cpu',
  fallbacks: [],
  loadMs: 1,
  warnings: [],
}

/** Its kind, 'run' for runs. */
export const kindOf = (message: { readonly kind: string } | Packet): string => (isPacket(message) ? 'run' : message.kind)

/** The runs of a message, with their tensors by name. */
export function runsIn(
  packet: Packet,
  names = NO_SESSION,
): { readonly id: number; readonly runs: Run[]; readonly back: Received['back'] } {
  const received = read(packet)
  const runs = Array.from({ length: received.count }, (): Run => {
    const part = received.next(names.inputs, names.outputs)
    return { inputs: mapOf(part, { share: false }), fetches: part.wanted }
  })
  return { id: received.id, runs, back: received.back }
}

export interface Said {
  readonly id: number
  /** Per run: its outputs, or ONNX Runtime's text. */
  readonly answers: readonly (Readonly<Record<string, Tensor>> | string)[]
  /** @default 0 */
  readonly beganMs?: number
  /** Per run. @default 0 */
  readonly inferMs?: readonly number[]
  /** @default none */
  readonly back?: readonly ArrayBuffer[]
}

/** The answer to a message. */
export function answered({ id, answers, beganMs = 0, inferMs = [], back = [] }: Said): Sent {
  const parts = answers.map((answer, i): Answered => {
    const ms = inferMs[i] ?? 0
    if (typeof answer === 'string') return { inferMs: ms, error: answer, names: [], tensors: [] }
    return { inferMs: ms, error: '', names: Object.keys(answer), tensors: Object.values(answer) }
  })
  return packAnswers(parts, { session: 0, id, names: NO_SESSION, beganMs, back })
}

/** `send()` of an instance whose `run()` is made up. */
export const sendBy =
  (run: Instance['run']): Instance['send'] =>
  (message: OpenMessage, rows, done) => {
    const { inputs, outputs } = message.layout
    const part = read(seal(message, rows, 0)).next(
      { list: inputs.map(({ name }) => name), places: new Map() },
      { list: outputs, places: new Map() },
    )
    run([{ inputs: mapOf(part, { share: false }), fetches: outputs }], (outcomes, beganAt) => {
      const outcome = typeof outcomes === 'string' ? outcomes : outcomes[0]
      done(typeof outcome === 'object' ? rowsOf(outcome, outputs, message.memory) : (outcome ?? 'lost'), beganAt)
    })
  }

function rowsOf(outcome: RunOutcome, outputs: readonly string[], memory: ArrayBuffer): RowsAnswer {
  const { inferMs } = outcome
  if ('error' in outcome)
    return { inferMs, error: String((outcome.error.cause as Error | undefined)?.message ?? outcome.error), tensors: [], memory }
  return { inferMs, error: '', tensors: outputs.map((name) => outcome.outputs[name] as Tensor), memory }
}

/** Runs and their answers as messages. */

import type { Tensor } from '../../tensor/types.ts'
import type { LendingBufferPool } from '../buffer-pool.ts'
import { ANSWERS, RUNS, type TensorRecord } from './format.ts'
import { NO_NAMES, type SessionNames } from './names.ts'
import { createWriter, type Sent } from './write.ts'

/** A run as the host asks for it. */
interface Asked {
  readonly inputs: TensorRecord
  readonly fetches: readonly string[]
}

/** A run as the worker answers it. */
export interface Answered {
  readonly inferMs: number
  /** ONNX Runtime's text; '' for success. */
  readonly error: string
  readonly names: readonly string[]
  /** As many as names. */
  readonly tensors: readonly Tensor[]
}

interface To {
  readonly session: number
  readonly id: number
  readonly names: SessionNames
  /** Memory for the message, if it is large enough. @default fresh */
  readonly memory?: ArrayBuffer | undefined
}

/** @param pool copies large tensors that share their buffer, and gets back its loans */
export function packRuns(runs: readonly Asked[], { session, id, names, memory }: To, pool?: LendingBufferPool): Sent {
  const writer = createWriter(pool)
  for (const { inputs, fetches } of runs) {
    const keys = Object.keys(inputs)
    writer.run(0, '', fetches, names.outputs, keys.length)
    for (const key of keys) writer.tensor(key, names.inputs, inputs[key] as Tensor)
  }
  return writer.end({ kind: RUNS, session, id, count: runs.length }, undefined, memory)
}

interface From extends To {
  readonly beganMs: number
  /** Buffers of the runs that the host wants back. */
  readonly back: readonly ArrayBuffer[]
}

export function packAnswers(answers: readonly Answered[], { session, id, names, beganMs, back, memory }: From): Sent {
  const writer = createWriter()
  for (const { inferMs, error, names: called, tensors } of answers) {
    writer.run(inferMs, error, [], NO_NAMES, called.length)
    for (let i = 0; i < called.length; i++) writer.tensor(called[i] as string, names.outputs, tensors[i] as Tensor)
  }
  return writer.end({ kind: ANSWERS, session, id, count: answers.length, beganMs }, back.length > 0 ? back : undefined, memory)
}

/** Orders the requests of each sequence: they run one after the other, as they came. */

import type { BufferPool } from '../engine/buffer-pool.ts'
import type { ModelmountError } from '../errors.ts'
import type { Clock } from '../host/clock.ts'
import type { Finished } from '../scheduler/entry.ts'
import type { Tensor } from '../tensor/types.ts'
import { sequenceKey } from './call.ts'
import type { SequenceSettings } from './options.ts'
import { bytesOf, type SequencePlan } from './plan.ts'
import { noSequence, notOpen, tooLargeAlone } from './refusals.ts'
import { createSequenceTable, type Sequence } from './sequence-table.ts'
import { createStateCarrier } from './state.ts'
import type { SequenceRequest, Submit, Tensors, Turn } from './turn.ts'
import type { SequencesInfo } from './types.ts'
import { aborted, createWaiting, type WaitingBounds } from './waiting.ts'

/** The open sequences of one model version. */
export interface Sequences {
  /**
   * Runs a request on its turn. A failed one leaves the state unchanged; a failed first one leaves no sequence.
   * @throws ModelmountError `SEQUENCE_REQUIRED`, `SEQUENCE_NOT_FOUND`, `SEQUENCE_LIMIT`, `QUOTA_EXCEEDED`, `QUEUE_FULL`,
   *   `DEADLINE_EXCEEDED`, `ABORTED`, `INPUT_INVALID`, and errors of `submit`
   */
  run(inputs: Tensors, request: SequenceRequest, submit: Submit): Promise<Finished>
  /** @param key of `sequenceKey` */
  has(key: string): boolean
  /** Ends a sequence after its current requests. */
  end(key: string): void
  readonly info: SequencesInfo
  /** Resolves when every accepted request is answered; then forgets all state. */
  drain(): Promise<void>
  /** Rejects the requests that wait for their turn. */
  abandon(error: ModelmountError): void
}

interface Settings extends Omit<SequenceSettings, 'state' | 'controls'>, WaitingBounds {
  readonly model: string
}

interface Deps {
  readonly clock: Clock
  /** Memory for copies of large state. @default fresh */
  readonly buffers?: BufferPool | undefined
}

export function createSequences(plan: SequencePlan, settings: Settings, { clock, buffers }: Deps): Sequences {
  const { model, idleTimeoutMs, maxSequences, maxBytes } = settings
  const table = createSequenceTable<Turn>(settings, clock)
  const waiting = createWaiting(settings, clock, leave)
  const carrier = createStateCarrier(plan, { model, idleTimeoutMs, table, buffers })
  /** Accepted and not answered. */
  let turns = 0
  let drained: (() => void) | undefined

  // ---------------------------------------------------------------- entering

  function enter(inputs: Tensors, request: SequenceRequest, submit: Submit): Promise<Finished> {
    const { sequence: call, tenant = '', signal } = request
    if (!call) throw noSequence(model)
    if (signal?.aborted) throw aborted(signal)
    const key = sequenceKey(tenant, call)
    const open = table.find(key)
    if (!open && !call.start) throw notOpen(model, call, idleTimeoutMs)
    const needed = call.start ? plan.freshBytes(inputs) : 0
    if (needed > maxBytes) throw tooLargeAlone(needed, maxBytes)
    const sequence = open ?? table.begin(key, tenant, needed)
    const last = sequence.line.at(-1)
    const bytes = bytesOf(inputs)
    const refusal = last && waiting.refusal(tenant, bytes)
    if (refusal) {
      // The requests behind it belong to the sequence that it would have begun.
      if (call.start) last.closes = true
      throw refusal
    }
    return new Promise((resolve, reject) => {
      const arrivedAt = clock.now()
      const turn: Turn = { sequence, call, inputs, bytes, request, submit, arrivedAt, closes: false, resolve, reject }
      turns++
      sequence.line.push(turn)
      if (last) waiting.add(turn)
      else advance(sequence)
    })
  }

  /** Before its turn. */
  function leave(turn: Turn, error: ModelmountError): void {
    if (!waiting.has(turn)) return
    const { line } = turn.sequence
    const place = line.indexOf(turn)
    const before = line[place - 1]
    if (before && (turn.call.start || turn.closes)) before.closes = true
    line.splice(place, 1)
    waiting.remove(turn)
    turn.reject(error)
    settled()
  }

  function settled(): void {
    turns--
    if (turns === 0) drained?.()
  }

  // ---------------------------------------------------------------- running

  /** Starts the first in line. Requests that cannot run are rejected, and the next one is first. */
  function advance(sequence: Sequence<Turn>): void {
    for (let turn = sequence.line[0]; turn; turn = sequence.line[0]) {
      waiting.remove(turn)
      try {
        dispatch(turn)
        return
      } catch (error) {
        fail(turn, error)
      }
    }
    table.rest(sequence)
  }

  function dispatch(turn: Turn): void {
    const { sequence, request, submit, arrivedAt } = turn
    const waitedMs = clock.now() - arrivedAt
    const before = carrier.before(turn)
    const feed = carrier.feed(turn, before)
    const succeed = (finished: Finished): void => {
      carrier.keep(turn, finished.outputs, before)
      const outputs = pick(finished.outputs, request.fetches)
      turn.resolve({ ...finished, outputs, queueMs: finished.queueMs + waitedMs })
      sequence.line.shift()
      settled()
    }
    // The next in line is settled in the same turn of the event loop as the answer, so that nothing comes in between.
    submit(feed, [...new Set([...request.fetches, ...plan.outputs])]).then(
      (finished) => {
        try {
          succeed(finished)
        } catch (error) {
          fail(turn, error)
        }
        advance(sequence)
      },
      (error) => {
        fail(turn, error)
        advance(sequence)
      },
    )
  }

  function fail(turn: Turn, error: unknown): void {
    if (turn.call.start || turn.closes) table.close(turn.sequence)
    turn.sequence.line.shift()
    turn.reject(error)
    settled()
  }

  return {
    run(inputs, request, submit) {
      try {
        return enter(inputs, request, submit)
      } catch (error) {
        return Promise.reject(error)
      }
    },
    has: (key) => table.find(key) !== undefined,
    end(key) {
      const sequence = table.find(key)
      const last = sequence?.line.at(-1)
      if (last) last.closes = true
      else if (sequence) table.forget(sequence)
    },
    get info() {
      return { open: table.size, bytes: table.bytes, waiting: waiting.size, idleTimeoutMs, maxSequences, maxBytes }
    },
    async drain() {
      if (turns > 0)
        await new Promise<void>((resolve) => {
          drained = resolve
        })
      table.clear()
    },
    abandon(error) {
      for (const turn of waiting) leave(turn, error)
    },
  }
}

/** The requested ones. */
function pick(outputs: Tensors, names: readonly string[]): Record<string, Tensor> {
  const picked: Record<string, Tensor> = Object.create(null)
  for (const name of names) {
    const tensor = outputs[name]
    if (tensor) picked[name] = tensor
  }
  return picked
}

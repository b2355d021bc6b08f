/** Orders the requests of each sequence: they run one after the other, as they came. */

import type { Memory } from '../engine/buffers.ts'
import { ModelmountError } from '../errors.ts'
import { type AbortSignalLike, onAbort } from '../host/abort.ts'
import type { Clock } from '../host/clock.ts'
import { createDeadlines } from '../scheduler/deadlines.ts'
import type { Finished } from '../scheduler/entry.ts'
import type { Tensor } from '../tensor/types.ts'
import { type SequenceCall, sequenceKey } from './call.ts'
import type { SequenceSettings } from './options.ts'
import { bytesOf, type SequencePlan } from './plan.ts'
import { lateInLine, noSequence, notOpen, tooLargeAlone, tooManyWaiting, tooManyWaitingOfTenant } from './refusals.ts'
import { createSequenceTable, type Sequence } from './sequence-table.ts'
import { createTenantCounts } from './tenant-counts.ts'
import type { SequencesInfo } from './types.ts'

type Tensors = Readonly<Record<string, Tensor>>

/** One request, from the sequences' point of view. */
export interface SequenceRequest {
  readonly sequence?: SequenceCall | undefined
  readonly tenant?: string | undefined
  /** The requested outputs. */
  readonly fetches: readonly string[]
  readonly signal?: AbortSignalLike | undefined
  /** On the clock. */
  readonly deadline: number
}

/** Queues a run, which owns its inputs from there on. */
export type Submit = (inputs: Tensors, fetches: readonly string[]) => Promise<Finished>

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

interface Settings extends Omit<SequenceSettings, 'state' | 'controls'> {
  readonly model: string
  readonly maxQueue: number
  readonly maxQueueBytes: number
  readonly maxQueuePerTenant: number
}

interface Turn {
  readonly sequence: Sequence<Turn>
  readonly call: SequenceCall
  readonly inputs: Tensors
  readonly bytes: number
  readonly request: SequenceRequest
  readonly submit: Submit
  readonly arrivedAt: number
  /** A beginning behind it failed: later requests must not take the old state for the new. */
  closes: boolean
  resolve(finished: Finished): void
  reject(error: unknown): void
  stopListening: (() => void) | undefined
}

interface Deps {
  readonly clock: Clock
  /** Memory for copies of large state. @default fresh */
  readonly memory?: Memory | undefined
}

export function createSequences(plan: SequencePlan, settings: Settings, { clock, memory }: Deps): Sequences {
  const { model, idleTimeoutMs, maxSequences, maxBytes, maxQueue, maxQueueBytes, maxQueuePerTenant } = settings
  const table = createSequenceTable<Turn>(settings, clock)
  const waiting = new Set<Turn>()
  const waitingOf = createTenantCounts()
  const deadlines = createDeadlines(
    clock,
    () => waiting,
    ({ request }) => request.deadline,
    (turn) => leave(turn, lateInLine()),
  )
  let waitingBytes = 0
  /** Accepted and not answered. */
  let turns = 0
  let drained: (() => void) | undefined

  // ---------------------------------------------------------------- entering

  function enter(inputs: Tensors, request: SequenceRequest, submit: Submit): Promise<Finished> {
    const { sequence: call, tenant = '', signal } = request
    if (!call) throw noSequence(model)
    if (signal?.aborted) throw aborted(signal)
    const key = sequenceKey(tenant, call)
    const known = table.find(key)
    if (!known && !call.start) throw notOpen(model, call, idleTimeoutMs)
    const needed = call.start ? plan.freshBytes(inputs) : 0
    if (needed > maxBytes) throw tooLargeAlone(needed, maxBytes)
    const sequence = known ?? table.begin(key, tenant, needed)
    const last = sequence.line.at(-1)
    const bytes = bytesOf(inputs)
    if (last) checkRoom(tenant, bytes, call, last)
    return new Promise((resolve, reject) => {
      const arrivedAt = clock.now()
      const turn: Turn = {
        sequence,
        call,
        inputs,
        bytes,
        request,
        submit,
        arrivedAt,
        closes: false,
        resolve,
        reject,
        stopListening: undefined,
      }
      turns++
      sequence.line.push(turn)
      if (last) wait(turn)
      else advance(sequence)
    })
  }

  function checkRoom(tenant: string, bytes: number, call: SequenceCall, last: Turn): void {
    const isFull = waiting.size >= maxQueue || (waiting.size > 0 && waitingBytes + bytes > maxQueueBytes)
    const hasEnough = tenant !== '' && waitingOf.of(tenant) >= maxQueuePerTenant
    if (!isFull && !hasEnough) return
    // The requests behind it belong to the sequence that it would have begun.
    if (call.start) last.closes = true
    throw isFull ? tooManyWaiting(waiting.size) : tooManyWaitingOfTenant(waitingOf.of(tenant))
  }

  // ---------------------------------------------------------------- waiting

  function wait(turn: Turn): void {
    const { signal, deadline } = turn.request
    waiting.add(turn)
    waitingOf.add(turn.sequence.tenant, 1)
    waitingBytes += turn.bytes
    deadlines.watch(deadline)
    if (signal) turn.stopListening = onAbort(signal, () => leave(turn, aborted(signal)))
  }

  function stopWaiting(turn: Turn): void {
    if (!waiting.delete(turn)) return
    waitingOf.add(turn.sequence.tenant, -1)
    waitingBytes -= turn.bytes
    turn.stopListening?.()
    if (waiting.size === 0) deadlines.rest()
  }

  /** Before its turn. */
  function leave(turn: Turn, error: ModelmountError): void {
    if (!waiting.has(turn)) return
    const { line } = turn.sequence
    const place = line.indexOf(turn)
    const before = line[place - 1]
    if (before && (turn.call.start || turn.closes)) before.closes = true
    line.splice(place, 1)
    stopWaiting(turn)
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
      stopWaiting(turn)
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
    const { sequence, call, inputs, request, submit, arrivedAt } = turn
    const waitedMs = clock.now() - arrivedAt
    const before = stateFor(turn)
    // The run keeps its inputs, and the old state must survive for another try.
    const state = call.start ? before : copied(before, memory)
    const feed = Object.assign(Object.create(null), inputs, state, plan.controls(inputs, call))
    const succeed = (finished: Finished): void => {
      keep(turn, finished.outputs, before)
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

  function stateFor({ sequence, call, inputs }: Turn): Tensors {
    if (call.start) {
      // The sequence before is over, whatever the outcome.
      sequence.state = undefined
      table.setAside(sequence, plan.freshBytes(inputs))
      return plan.fresh(inputs)
    }
    if (!sequence.state) throw notOpen(model, call, idleTimeoutMs)
    plan.check(inputs, sequence.state)
    return sequence.state
  }

  /** Throws if the new state cannot be kept; the old one then remains. */
  function keep({ sequence, call, closes }: Turn, outputs: Tensors, before: Tensors): void {
    const state = plan.next(outputs, before)
    if (call.end || closes) table.close(sequence)
    else {
      table.setAside(sequence, bytesOf(state))
      sequence.state = state
    }
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
      for (const turn of [...waiting]) leave(turn, error)
    },
  }
}

const aborted = (signal: AbortSignalLike): ModelmountError =>
  new ModelmountError('ABORTED', 'the request was aborted', { cause: signal.reason })

function copied(state: Tensors, memory: Memory | undefined): Tensors {
  const copies: Record<string, Tensor> = Object.create(null)
  for (const [name, tensor] of Object.entries(state)) {
    if (tensor.type === 'string') copies[name] = tensor
    else copies[name] = { ...tensor, data: memory ? memory.copy(tensor.data) : tensor.data.slice() } as Tensor
  }
  return copies
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

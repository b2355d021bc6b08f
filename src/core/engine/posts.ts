/** The messages that an instance has posted and its worker has not answered. */

import type { OwnedBufferPool } from './buffer-pool.ts'
import { HRTIME_AHEAD_MS } from './monotonic.ts'
import { runError } from './ort-errors.ts'
import type { Run, RunOutcome } from './run.ts'
import type { Packet } from './wire/format.ts'
import { NO_NAMES, NO_SESSION, type SessionNames } from './wire/names.ts'
import { type OpenMessage, type RowsAnswer, seal } from './wire/open.ts'
import { mapOf, type Part, type Received, read } from './wire/read.ts'
import { packRuns } from './wire/runs.ts'

/** The fate of a message whose worker went: `lost` while running, `unstarted` while waiting at the worker. */
type Fate = 'lost' | 'unstarted'

/** One outcome per run, or the fate of all of them. */
export type Done = (
  outcomes: readonly RunOutcome[] | Fate,
  /** When the first run began, on the clock of `performance.now()`. */
  beganAt?: number,
) => void

/** The same for an open message. Its memory and its tensors are the callback's until it returns. */
export type RowsDone = (answer: RowsAnswer | Fate, beganAt?: number) => void

export interface Posts {
  /** Posted and unanswered. */
  readonly messages: number
  readonly runs: number
  readonly names: SessionNames
  /** The session has loaded. */
  describe(names: SessionNames): void
  run(runs: readonly Run[], done: Done): void
  send(message: OpenMessage, rows: number, done: RowsDone): void
  answer(packet: Packet): void
  /** Nothing will be answered any more. @returns a function that says so to all that wait */
  end(): () => void
}

interface Posted {
  readonly runs: number
  settle(answers: Received | Fate, beganAt?: number): void
}

interface Deps {
  post(packet: Packet, transfer: ArrayBuffer[]): void
  /** Source of memory for large inputs. */
  readonly buffers?: OwnedBufferPool | undefined
  /** The last message was answered. */
  onIdle(): void
}

/** The session of a worker that has one. */
const SESSION = 0
/** Memory of answers that is kept for the next messages. */
const SPARES = 4
/** More is not kept: most messages would not fill it. */
const SPARE_BYTES = 1024 * 1024

export function createPosts({ post, buffers, onIdle }: Deps): Posts {
  const posted = new Map<number, Posted>()
  const spares: ArrayBuffer[] = []
  let names = NO_SESSION
  let nextId = 1
  let runsPosted = 0

  function add(id: number, packet: Packet, transfer: ArrayBuffer[], message: Posted): void {
    posted.set(id, message)
    runsPosted += message.runs
    post(packet, transfer)
  }

  function outcomesOf(answers: Received | Fate): readonly RunOutcome[] | Fate {
    if (typeof answers === 'string') return answers
    const outcomes: RunOutcome[] = []
    for (let i = 0; i < answers.count; i++) outcomes.push(outcomeOf(answers.next(names.outputs, NO_NAMES)))
    if (spares.length < SPARES && answers.memory.byteLength <= SPARE_BYTES) spares.push(answers.memory)
    return outcomes
  }

  function rowsOf(answers: Received | Fate): RowsAnswer | Fate {
    if (typeof answers === 'string') return answers
    const { inferMs, error, tensors } = answers.next(names.outputs, NO_NAMES)
    return { inferMs, error, tensors, memory: answers.memory }
  }

  return {
    get messages() {
      return posted.size
    },
    get runs() {
      return runsPosted
    },
    get names() {
      return names
    },
    describe(next) {
      names = next
    },
    run(runs, done) {
      const id = nextId++
      const { packet, transfer } = packRuns(runs, { session: SESSION, id, names, memory: spares.pop() }, buffers)
      add(id, packet, transfer, { runs: runs.length, settle: (answers, beganAt) => done(outcomesOf(answers), beganAt) })
    },
    send(message, rows, done) {
      const id = nextId++
      const memory = seal(message, rows, id)
      add(id, memory, [memory], { runs: 1, settle: (answers, beganAt) => done(rowsOf(answers), beganAt) })
    },
    answer(packet) {
      const answers = read(packet)
      for (const buffer of answers.back) buffers?.put(buffer)
      const message = posted.get(answers.id)
      if (!message) return
      posted.delete(answers.id)
      runsPosted -= message.runs
      message.settle(answers, answers.beganMs - HRTIME_AHEAD_MS)
      if (posted.size === 0) onIdle()
    },
    end() {
      const lost = [...posted.values()]
      posted.clear()
      runsPosted = 0
      return () => {
        for (const [index, message] of lost.entries()) message.settle(index === 0 ? 'lost' : 'unstarted')
      }
    },
  }
}

function outcomeOf(part: Part): RunOutcome {
  const { error, inferMs } = part
  return error === '' ? { outputs: mapOf(part, { share: false }), inferMs } : { error: runError(error), inferMs }
}

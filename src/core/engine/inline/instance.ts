/** The session on the host as an instance: it takes one run at a time, which happens in the next turn. */

import type { Clock } from '../../host/clock.ts'
import type { Tensor } from '../../tensor/types.ts'
import type { Instance } from '../instance.ts'
import type { Loaded } from '../messages.ts'
import { runError } from '../ort-errors.ts'
import type { Done } from '../posts.ts'
import type { Run, RunOutcome } from '../run.ts'
import type { NumericData, TensorRecord } from '../wire/format.ts'
import { sessionNames } from '../wire/names.ts'
import type { OpenMessage } from '../wire/open.ts'
import type { HostLoop } from './loop.ts'
import type { HostSession } from './session.ts'

interface Deps {
  /** As its worker reports it. */
  readonly loaded: Loaded
  readonly clock: Clock
  readonly loop: HostLoop
  /** Called after each run, before its answer. */
  onRan(run: Run, inferMs: number): void
}

/** Instances of the pool count from 1. */
const HOST_ID = 0

export function createHostInstance(session: HostSession, { loaded, clock, loop, onRan }: Deps): Instance {
  let bursts = 0
  let ready = true
  let idle = (): void => {}

  function execute(run: Run | undefined, done: Done): void {
    if (!run) return
    bursts++
    loop.enter()
    let beganAt = clock.now()
    // ONNX Runtime starts at the end of this turn or of the next one, by a callback that it defers, too. Ours stands right before it.
    setImmediate(() => {
      beganAt = clock.now()
    })

    function answer(inferMs: number, outcome: RunOutcome): void {
      bursts--
      loop.leave()
      onRan(run as Run, inferMs)
      done([outcome], beganAt)
      if (bursts === 0) idle()
    }

    session.run(run).then(
      (outputs: TensorRecord) => {
        const inferMs = clock.now() - beganAt
        answer(inferMs, { outputs, inferMs })
      },
      (error: unknown) => {
        const inferMs = clock.now() - beganAt
        answer(inferMs, { error: runError(error instanceof Error ? error.message : String(error)), inferMs })
      },
    )
  }

  return {
    id: HOST_ID,
    tier: 'inline',
    loaded: Promise.resolve(loaded),
    get bursts() {
      return bursts
    },
    get outstanding() {
      return bursts
    },
    get ready() {
      return ready
    },
    memoryBytes: undefined,
    run: ([run], done) => execute(run, done),
    names: sessionNames(loaded),
    send(message, rows, done) {
      execute(runOf(message, rows), (outcomes, beganAt) => {
        const [outcome] = typeof outcomes === 'string' ? [] : outcomes
        if (!outcome) return
        const { inferMs } = outcome
        const isError = 'error' in outcome
        const tensors = isError ? [] : message.layout.outputs.map((name) => outcome.outputs[name] as Tensor)
        done({ inferMs, error: isError ? outcome.error.message : '', tensors, memory: message.memory }, beganAt)
      })
    },
    kill: () => false,
    async close() {
      ready = false
      if (bursts > 0)
        await new Promise<void>((resolve) => {
          idle = resolve
        })
      await session.release()
    },
  }
}

/** The rows of an open message, where they lie. */
function runOf({ layout, inputs }: OpenMessage, rows: number): Run {
  const record: Record<string, Tensor> = Object.create(null)
  for (const [i, { name, type, dims, axis }] of layout.inputs.entries()) {
    const data = (inputs[i] as NumericData).subarray(0, rows * (layout.rowElements[i] as number))
    record[name] = { type, dims: dims.map((dim, at) => (at === axis ? rows * dim : dim)), data } as Tensor
  }
  return { inputs: record, fetches: layout.outputs }
}

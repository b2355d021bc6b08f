/**
 * A trial of a model in a child process that nothing depends on: what crashes, hangs or takes all memory there never comes near the
 * instances that serve, nor, in the thread tier, near the host itself.
 */

import type { Clock } from '../clock.ts'
import type { TensorRecord } from '../engine/frame.ts'
import { createInstance, type LoadRequest, type RunOutcome } from '../engine/instance.ts'
import type { Loaded } from '../engine/messages.ts'
import { openProcess } from '../engine/process.ts'
import { ModelmountError } from '../errors.ts'
import { copyAll } from '../scheduler/join.ts'
import type { ModelSignature } from '../types.ts'
import { findRows, type RunAll } from './rows.ts'

/** Longest time that a killed child takes to be gone. */
const END_MS = 10_000

interface Deps {
  readonly clock: Clock
  readonly maxMemoryBytes: number | undefined
  /** What the session tells of itself, as the model's signature, and the samples that were given to warm it up. */
  describe(loaded: Loaded): { readonly signature: ModelSignature; readonly samples: readonly TensorRecord[] }
  onLine(line: string): void
}

/**
 * Loads the model and runs it once with each sample, or with made-up inputs where there are none. Runs that fail without harm are no
 * reason against it: warming up will tell.
 * @throws ModelmountError `MODEL_LOAD_FAILED` when it cannot be loaded, or crashes or hangs; the child is gone by then
 */
export async function flyCanary(request: LoadRequest, { clock, maxMemoryBytes, describe, onLine }: Deps): Promise<void> {
  let lost: string | undefined
  const instance = createInstance(request, {
    id: 0,
    open: openProcess({ maxMemoryBytes }),
    clock,
    onLost(reason) {
      lost ??= reason
    },
    onLine,
  })
  const crashed = (): ModelmountError => failure(`it crashed in its trial run: ${lost ?? 'its process went away'}`)

  const runAll: RunAll = (runs) =>
    new Promise<readonly RunOutcome[]>((resolve, reject) => {
      // Posted to one that is gone, runs would never be answered.
      if (!instance.ready) reject(crashed())
      else instance.run(runs, (outcomes) => (typeof outcomes === 'string' ? reject(crashed()) : resolve(outcomes)))
    })

  async function smoke(loaded: Loaded): Promise<void> {
    const { signature, samples } = describe(loaded)
    const fetches = signature.outputs.map(({ name }) => name)
    if (samples.length === 0) await findRows(signature, undefined, undefined, { fetches, runAll })
    for (const sample of samples) await runAll([{ inputs: copyAll(sample), fetches }])
  }

  try {
    const loaded = await instance.loaded
    await within(smoke(loaded), clock, request.timeoutMs)
  } finally {
    // A child that has been killed keeps nobody awake, and whoever waits for this must live to see it.
    const awake = clock.after(END_MS, () => {})
    awake.hold(true)
    // One that hangs would not answer anything gentler.
    instance.kill('its trial is over')
    await instance.close()
    awake.cancel()
  }
}

const failure = (why: string): ModelmountError => new ModelmountError('MODEL_LOAD_FAILED', why)

function within(work: Promise<void>, clock: Clock, limitMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(limitMs, () => reject(failure(`its trial run took longer than loadTimeoutMs (${limitMs} ms)`)))
    work.then(resolve, reject).finally(() => timer.cancel())
  })
}

/**
 * First runs of instances. The given samples run before requests do, because ONNX Runtime's first run of a shape is slow. Then the first instance
 * of a model shows which requests may share a run and the gain; the others only run the usual inputs.
 */

import type { TensorRecord } from '../engine/frame.ts'
import type { Instance } from '../engine/instance.ts'
import type { Run } from '../engine/run.ts'
import { isModelmountError, ModelmountError } from '../errors.ts'
import type { Clock } from '../host/clock.ts'
import type { ModelConfig } from '../options/index.ts'
import type { PredictInputs } from '../predict/types.ts'
import { axesOf } from '../scheduler/axes.ts'
import type { BatchAxes } from '../scheduler/batch.ts'
import type { Batching } from '../scheduler/batching.ts'
import { copyAll } from '../scheduler/join.ts'
import type { BatchSettings } from '../scheduler/options.ts'
import type { ModelSignature } from '../tensor/types.ts'
import { conclude, type Evidence } from './conclude.ts'
import { rowsAt } from './measure.ts'
import type { Found, TrialPlan, TryOut } from './plan.ts'
import { type ProofDeps, prove, rowsOfSamples } from './prove.ts'
import { LOST, type RunAll } from './rows.ts'

/** Findings about a model that serves. */
export interface WarmupResult {
  readonly batching: Batching
  /** Inputs of the usual sizes, one row first; none if there are no rows to make them of. Made anew by each call. */
  usual(): readonly TensorRecord[]
  /** `usual()`, and the given samples. */
  rehearsal(): readonly TensorRecord[]
  /** The first example that the model accepts; none if that was not tried. */
  readonly example: number | undefined
}

/** The first runs of the first instance. */
export interface Opening {
  /** The given samples, in the graph's terms. */
  readonly samples: readonly TensorRecord[]
  /** A model without inputs has answered. */
  readonly answersNothing: boolean
}

export interface WarmupDeps {
  readonly clock: Clock
  /** Of the graph. */
  readonly signature: ModelSignature
  readonly config: Pick<ModelConfig, 'batching' | 'warmup' | 'loadTimeoutMs'>
  /** A sample in the graph's terms. @throws ModelmountError `INPUT_INVALID` */
  take(sample: PredictInputs): TensorRecord
  /** Looks for an operator that certainly lets rows influence each other; see `prove`. */
  findMixing(rows: BatchAxes): Promise<string | undefined>
  /** Requests to describe the model by. @default none */
  examples?(): readonly TensorRecord[]
  /** Tries the model: the instance runs made-up inputs only after that. */
  readonly tryOut: TryOut
}

/** For a model without a trial. */
const NO_ROWS: Found = {
  rows: [],
  lack: 'no sample in warmup has rows to try batching with',
  refuted: undefined,
  padding: undefined,
  sizes: [],
}

/** Runs outside the queue. */
const runsOn =
  (instance: Instance): RunAll =>
  (runs) =>
    new Promise((resolve) => {
      const lost = (): void => resolve(runs.map(() => LOST))
      // No caller waits any more.
      if (!instance.ready) lost()
      else instance.run(runs, (outcomes) => (typeof outcomes === 'string' ? lost() : resolve(outcomes)))
    })

const fetchesOf = ({ outputs }: ModelSignature): readonly string[] => outputs.map(({ name }) => name)

/** Everything to try; nothing if requests do not share runs, and the warm-up needs no made-up inputs. */
export function planOf(
  signature: ModelSignature,
  settings: BatchSettings | false,
  samples: readonly TensorRecord[],
  examples: readonly TensorRecord[],
): TrialPlan | undefined {
  if (settings === false || signature.inputs.length === 0) return undefined
  const axes = axesOf(signature, settings.axes)
  if (samples.length === 0) return { signature, settings, given: [], examples }
  const given = typeof axes === 'string' ? [] : rowsOfSamples(samples, axes)
  return given.length > 0 ? { signature, settings, given, examples } : undefined
}

/** @throws ModelmountError `MODEL_LOAD_FAILED` if a given sample fails, or it takes longer than `loadTimeoutMs` */
export function open(instance: Instance, { clock, signature, config, take }: WarmupDeps): Promise<Opening> {
  const runAll = runsOn(instance)

  async function run(): Promise<Opening> {
    const samples: TensorRecord[] = []
    for (const [index, sample] of config.warmup.entries()) {
      try {
        const inputs = take(sample)
        // Each run gets its own copy: large tensors are given away with the message.
        samples.push(inputs)
        const [outcome] = await runAll([runOf(inputs, signature)])
        if (outcome && 'error' in outcome) throw outcome.error
      } catch (cause) {
        const why = isModelmountError(cause) ? cause.message : String(cause)
        throw new ModelmountError('MODEL_LOAD_FAILED', `warmup[${index}] failed: ${why}`, { cause })
      }
    }
    // There is nothing to make up.
    if (!config.batching || signature.inputs.length > 0) return { samples, answersNothing: false }
    const [outcome] = await runAll([runOf({}, signature)])
    return { samples, answersNothing: outcome !== undefined && !('error' in outcome) }
  }

  return withinLoadTime(run(), clock, config.loadTimeoutMs)
}

export const planAfter = ({ samples }: Opening, { signature, config, examples }: WarmupDeps): TrialPlan | undefined =>
  planOf(signature, config.batching, samples, examples?.() ?? [])

/** Tries the model, and measures it. */
export async function gather(
  plan: TrialPlan | undefined,
  { signature, config, tryOut, findMixing }: WarmupDeps,
  runner: Pick<ProofDeps, 'runAll' | 'elapsed'>,
): Promise<Evidence> {
  // Has its own bounds, and may have to wait for its turn.
  const tried = plan ? await tryOut(plan) : NO_ROWS
  return prove(signature, config.batching, { tried, findMixing, runAll: runner.runAll, elapsed: runner.elapsed })
}

export function resultOf(
  { samples, answersNothing }: Opening,
  { signature, config }: WarmupDeps,
  evidence: Evidence,
): WarmupResult {
  const { batching, rows, most } = conclude(signature, config.batching, evidence)
  const { tried } = evidence
  const usual = (): TensorRecord[] => {
    const [first] = rows
    if (!first) return []
    const size = Math.min(batching.cap, most)
    return size > 1 ? [first, batching.join(rowsAt(rows, size))] : [first]
  }
  const example = typeof tried === 'string' ? undefined : answersNothing ? 0 : tried.example
  return { batching, usual, rehearsal: () => [...samples, ...usual()], example }
}

/**
 * All of it at once, for an instance that takes no requests yet.
 * @throws ModelmountError `MODEL_LOAD_FAILED` if a given sample fails, or a step takes longer than `loadTimeoutMs`
 */
export async function warmUp(instance: Instance, deps: WarmupDeps): Promise<WarmupResult> {
  const opening = await open(instance, deps)
  return resultOf(opening, deps, await gatherOn(instance, planAfter(opening, deps), deps))
}

/** @throws ModelmountError `MODEL_LOAD_FAILED` if it takes longer than `loadTimeoutMs` */
export async function gatherOn(instance: Instance, plan: TrialPlan | undefined, deps: WarmupDeps): Promise<Evidence> {
  const tried = plan ? await deps.tryOut(plan) : NO_ROWS
  const proof = gather(plan, { ...deps, tryOut: async () => tried }, { runAll: runsOn(instance) })
  return withinLoadTime(proof, deps.clock, deps.config.loadTimeoutMs)
}

/**
 * Runs each of the usual inputs once.
 * @returns the failure, if any: an instance that has loaded may still serve real requests
 * @throws ModelmountError `MODEL_LOAD_FAILED` if it takes longer than `loadTimeoutMs`
 */
export async function rehearse(
  instance: Instance,
  { rehearsal }: Pick<WarmupResult, 'rehearsal'>,
  deps: WarmupDeps,
): Promise<string | undefined> {
  const runs = rehearsal().map((inputs) => runOf(inputs, deps.signature))
  if (runs.length === 0) return undefined
  const outcomes = await withinLoadTime(runsOn(instance)(runs), deps.clock, deps.config.loadTimeoutMs)
  const failed = outcomes.find((outcome) => 'error' in outcome)
  return failed && 'error' in failed ? failed.error.message : undefined
}

const runOf = (inputs: TensorRecord, signature: ModelSignature): Run => ({
  inputs: copyAll(inputs),
  fetches: fetchesOf(signature),
})

function withinLoadTime<T>(work: Promise<T>, clock: Clock, limitMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(limitMs, () =>
      reject(new ModelmountError('MODEL_LOAD_FAILED', `the warm-up took longer than loadTimeoutMs (${limitMs} ms)`)),
    )
    void work.then(resolve, reject).finally(() => timer.cancel())
  })
}

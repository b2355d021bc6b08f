/**
 * The first load of a model's instances: a trial where one is wanted, then an instance that says what the model takes and gives and shows what
 * may share a run. Every further instance only runs what is usual by then.
 */

import { guessFootprint } from '../../engine/footprint.ts'
import type { TensorRecord } from '../../engine/frame.ts'
import type { Instance } from '../../engine/instance.ts'
import { formed } from '../../engine/launch.ts'
import type { Loaded } from '../../engine/messages.ts'
import type { Pool } from '../../engine/pool.ts'
import type { MemoryInfo } from '../../engine/types.ts'
import { printable } from '../../host/printable.ts'
import { findMixing } from '../../onnx/index.ts'
import type { ModelConfig } from '../../options/index.ts'
import type { PredictInputs } from '../../predict/types.ts'
import { axesOf } from '../../scheduler/axes.ts'
import type { Scheduler } from '../../scheduler/scheduler.ts'
import { type ExampleForm, exampleForms, exampleOf, exampleTensors } from '../../tensor/index.ts'
import { type Attempt, createAttempt, type Description } from '../../trial/attempt.ts'
import { planOf, rehearse } from '../../trial/warm-up.ts'
import type { About } from '../about.ts'
import { type SessionView, viewSession } from '../view/session.ts'
import type { LoadContext } from './context.ts'
import { createKeeper } from './keeper.ts'
import type { Prepared } from './prepare.ts'
import { createProving, type Proving } from './proving.ts'

/** The findings of the first instance. */
export interface Met {
  readonly session: Loaded
  readonly view: SessionView
}

export interface First {
  /** Tries the model and starts its instances. */
  load(): Promise<void>
  /** Resolves once the first instance is ready for requests. */
  readonly met: Promise<Met>
  /** Every instance goes through this before requests get to it. */
  prepare(instance: Instance, session: Loaded): Promise<void>
  readonly proving: Proving
  /** Rejects when the files must not run any more. At the first load the gate has just looked. */
  recheck(): Promise<void>
}

interface Deps {
  readonly pool: Pool
  readonly scheduler: Scheduler
  memory(): MemoryInfo
}

export function createFirst(prepared: Prepared, context: LoadContext, { pool, scheduler, memory }: Deps): First {
  const { deps, times } = context
  const about = context.known()
  const { admitted, edited, weights, form } = prepared
  const { config } = about
  const { clock, emit } = deps
  const later = config.proof === 'background'
  const isTrialRun = config.trialRun === true || (config.trialRun === 'unverified' && !admitted.integrity?.signer)
  const attempt = attemptFor(prepared, context, { isTrialRun, memory, describe: (session) => descriptionOf(describe(session)) })
  const keeper = createKeeper(prepared, context)
  const proving = createProving({ attempt, keeper, pool, scheduler }, context)
  let described = false
  let endLoad = (): void => {}
  let tellMet = (_: Met): void => {}
  const met = new Promise<Met>((resolve) => {
    tellMet = resolve
  })
  let greet = meet

  /** Notes the facts that a session reports. */
  function describe(given: Loaded): { readonly session: Loaded; readonly view: SessionView } {
    // ONNX Runtime quotes names of the model raw.
    const fallbacks = given.fallbacks.map(({ provider, reason }) => ({
      provider,
      reason: printable(reason).slice(0, 1000),
    }))
    described = true
    const session = { ...given, fallbacks }
    const { facts, buffers } = about
    const view = viewSession(session, { config, facts, leftOut: edited?.leftOut, buffers })
    context.learn({
      contract: view.outer,
      intake: view.intake,
      session: { executionProvider: session.provider, loadMs: session.loadMs, providerFallbacks: fallbacks },
    })
    return { session, view }
  }

  async function meet(instance: Instance, given: Loaded): Promise<void> {
    const { session, view } = describe(given)
    endLoad()
    const examples = examplesOf(view)
    const subject = { warmUp: warmUpDeps(view, examples), forms: examples.map(({ form }) => form), provider: session.provider }
    await times.time('warmup', proving.open(instance, subject))
    greet = (instance) => greetFurther(instance, view)
    tellMet({ session, view })
  }

  async function greetFurther(instance: Instance, view: SessionView): Promise<void> {
    const problem = await rehearse(instance, proving, warmUpDeps(view, []))
    if (problem === undefined) return
    // The next one must not fall for the same.
    if (!instance.ready) proving.spare()
    emit({ type: 'warning', message: `a further instance could not be warmed up: ${problem}` })
  }

  const warmUpDeps = ({ graph, plan, take }: SessionView, examples: readonly Example[]) => ({
    clock,
    signature: graph,
    config: plan && config.batching ? { ...config, batching: withAxes(config.batching, plan.axes) } : config,
    take,
    examples: () => examples.map(({ inputs }) => inputs),
    tryOut: attempt.tryOut,
    findMixing: async (rows: Parameters<typeof findMixing>[2]) =>
      edited && findMixing(admitted.source, graph.inputs, rows, edited.patch),
  })

  function descriptionOf({ view }: { readonly view: SessionView }): Description {
    const examples = examplesOf(view)
    const { signature, config: settings } = warmUpDeps(view, examples)
    // A sample that does not fit is the warm-up's to complain of.
    const samples = config.warmup.map((sample) => fitting(view, sample)).filter((sample) => sample !== undefined)
    return {
      plan: planOf(
        signature,
        settings.batching,
        samples,
        examples.map(({ inputs }) => inputs),
      ),
      samples: signature.inputs.length === 0 ? [{}] : samples,
      fetches: signature.outputs.map(({ name }) => name),
    }
  }

  /** None where values of a request could end the process that tries them, or where that is not known. */
  function examplesOf(view: SessionView): readonly Example[] {
    const { facts, hazard } = about
    if (!facts || hazard !== undefined || config.batching === false) return []
    const { inputs } = view.outer.signature
    return exampleForms(inputs).flatMap((form) => {
      const example = exampleOf(inputs, form)
      const inner = example && fitting(view, exampleTensors(example))
      return inner ? [{ form, inputs: inner }] : []
    })
  }

  return {
    met,
    proving,
    prepare: (instance, session) => greet(instance, session),
    recheck: async () => {
      if (described) await admitted.recheck()
    },
    async load() {
      // The findings are of no use any more; a trial run goes on, as the load does.
      if (!isTrialRun) context.whenUnwanted(() => void attempt.end())
      // Beside the load: the files are being hashed.
      void keeper.find()
      try {
        const tried = attempt.prepare(async () => (await keeper.find()) !== undefined)
        await (isTrialRun ? times.time('trialRun', tried) : tried)
        endLoad = times.begin('load')
        // Weights that are going to be shared are not copied for every instance first.
        await pool.start({ form, count: weights.pending ? 1 : undefined })
      } finally {
        endLoad()
        if (!later) void attempt.end()
      }
    },
  }
}

interface Example {
  readonly form: ExampleForm
  readonly inputs: TensorRecord
}

const withAxes = <B extends { readonly axes: Readonly<Record<string, number | 'shared'>> }>(
  batching: B,
  axes: Readonly<Record<string, number>>,
): B => ({ ...batching, axes: { ...axes, ...batching.axes } })

function fitting({ take }: SessionView, inputs: PredictInputs): TensorRecord | undefined {
  try {
    return take(inputs)
  } catch {
    return undefined
  }
}

interface AttemptDeps {
  readonly isTrialRun: boolean
  memory(): MemoryInfo
  describe(session: Loaded): Description
}

function attemptFor(
  { request, weightBytes, form }: Prepared,
  { known, deps }: LoadContext,
  { isTrialRun, memory, describe }: AttemptDeps,
): Attempt {
  const { config, facts } = known()
  const { perInstanceBytes, sharedBytes } = guessFootprint(weightBytes, 'process', form ? 'mapped' : 'packed')
  const reserved = memory()
  const settings = {
    trialRun: isTrialRun,
    wanted: isTried(config, facts),
    later: config.proof === 'background',
    neededBytes: perInstanceBytes + (form ? 0 : sharedBytes),
    reservedBytes: reserved.perInstanceBytes + reserved.sharedBytes,
    maxBytes: config.maxMemoryBytes,
  }
  return createAttempt(form ? formed(request, form) : request, settings, {
    trials: deps.trials,
    lend: deps.residency.lend,
    describe,
    onLine: (line) => deps.emit({ type: 'worker-output', line }),
    untried: (reason) => deps.emit({ type: 'untried', reason }),
  })
}

/** Whether there will be something to try, as far as that is known before it has loaded. */
function isTried({ batching, warmup, sequences }: ModelConfig, facts: About['facts']): boolean {
  if (batching === false || facts?.inputs.length === 0) return false
  return warmup.length === 0 || !facts || sequences !== undefined || typeof axesOf(facts, batching.axes) !== 'string'
}

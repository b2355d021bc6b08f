/** Waits for room in memory, then loads the instances; the findings of the first one make the version ready for requests. */

import { contentId } from '../../cache/index.ts'
import { patchKey } from '../../engine/derived/key.ts'
import type { Loaded } from '../../engine/messages.ts'
import { printable } from '../../host/printable.ts'
import { idOfBytes } from '../../integrity/index.ts'
import { createSequences, type Sequences } from '../../sequences/index.ts'
import type { About } from '../about.ts'
import { termsOf } from '../inline.ts'
import { createLean, type LeanDoors } from '../lean.ts'
import { createRun, type RunModel } from '../run.ts'
import type { Running } from '../running.ts'
import type { LoadContext } from './context.ts'
import type { Met } from './first.ts'
import type { Started } from './start.ts'

/** A version that answers requests. */
export interface Serving extends Running {
  readonly run: RunModel
  readonly lean: LeanDoors
  /** Of a model with state. */
  readonly sequences: Sequences | undefined
  /** To be called once it takes requests: the improvements that run beside them. Never rejects. */
  improve(): Promise<void>
}

export async function enter(started: Started, context: LoadContext): Promise<Serving> {
  const { first, running, sharing } = started
  const { cache } = context.deps
  await running.provision.slot.enter()
  const met = await first.met
  if (cache?.shares) cache.share(await contentOf(started, context.known(), met.session))
  announce(met, context)
  const sequences = sequencesOf(met, context)
  const { view } = met
  const { proving } = first
  const fetches = view.graph.outputs.map(({ name }) => name)
  const about = context.known()
  const lean = createLean(view, running, about)
  return {
    ...running,
    sequences,
    lean,
    run: createRun(view, running, { about, lean, sequences, clock: context.deps.clock }),
    async improve() {
      await proving.begin()
      if (context.unwanted()) return
      running.inline?.begin(termsOf(started, context.known(), met))
      sharing.begin(proving.usual, fetches)
    },
  }
}

function sequencesOf({ view: { plan } }: Met, { known, deps, take }: LoadContext): Sequences | undefined {
  const { config, buffers } = known()
  if (!plan || !config.sequences) return undefined
  const settings = { ...config, ...config.sequences, model: config.name }
  const sequences = createSequences(plan, settings, { clock: deps.clock, buffers })
  take({ close: () => sequences.drain(), abandon: (error) => sequences.abandon(error) })
  return sequences
}

function announce({ session, view }: Met, { deps: { emit } }: LoadContext): void {
  for (const { provider, reason } of session.fallbacks)
    emit({ type: 'provider-fallback', wanted: provider, using: session.provider, reason })
  for (const message of session.warnings) emit({ type: 'warning', message })
  for (const { name, reason } of view.leftOut)
    emit({ type: 'warning', message: `output '${printable(name)}' is left out: ${reason}` })
  for (const { field, reason } of view.outer.notes)
    emit({ type: 'warning', message: `${field} is not honoured as written: ${reason}` })
  emit({ type: 'worker-ready', loadMs: session.loadMs })
}

/** Identifies all that must be equal for another process to give the same results. */
async function contentOf({ admitted, content, request }: Started, { config }: About, { provider }: Loaded): Promise<string> {
  const { graphOptimizationLevel, extra } = config.session
  const { patch } = request
  const settings = { provider, graphOptimizationLevel, extra, ...(patch.length > 0 ? { patch: patchKey(patch) } : {}) }
  const { source } = admitted
  return contentId(content.id ?? (typeof source === 'string' ? source : await idOfBytes(source)), settings)
}

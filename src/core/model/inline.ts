/** Runs of small models on the host: which models may, and what the session there is made of. */

import { stat } from 'node:fs/promises'
import { MOST_BYTES, MOST_MS } from '../engine/inline/limits.ts'
import { createInline, type InlineTier, type Terms } from '../engine/inline/tier.ts'
import type { Run } from '../engine/run.ts'
import { type Edited, findUnbounded } from '../onnx/index.ts'
import { axesOf, type DeclaredAxes } from '../scheduler/axes.ts'
import { copyAll } from '../scheduler/join.ts'
import { verdictOf } from '../scheduler/report.ts'
import { DTYPES } from '../tensor/index.ts'
import type { ModelSignature, ValueInfo } from '../tensor/types.ts'
import type { About } from './about.ts'
import type { LoadContext } from './load/context.ts'
import type { First, Met } from './load/first.ts'
import type { Prepared } from './load/prepare.ts'
import type { Running } from './running.ts'

/** A session without weights, as measured for an MLP of a few kilobytes. */
const BARE_BYTES = 2 ** 20
/** As they are, and packed for the kernels. */
const COPIES = 2

const REPETITIONS = 5

interface Deps extends Pick<Running, 'pool' | 'scheduler'> {
  fits(bytes: number): boolean
  checkSource(): Promise<() => Promise<void>>
}

export function createInlineFor(
  { weightBytes }: Prepared,
  { deps, known }: LoadContext,
  parts: () => Deps,
): InlineTier | undefined {
  const { config } = known()
  if (config.inline === false || config.isolation === 'process') return undefined
  const { clock, loop, emit } = deps

  /** The first run of a shape is slow in a worker, too, and a busy machine disturbs some. */
  function repeat({ inputs, fetches }: Run): Promise<number | undefined> {
    const { pool, scheduler } = parts()
    const [instance] = pool.instances
    if (!instance) return Promise.resolve(undefined)
    const runs = Array.from({ length: REPETITIONS }, () => ({ inputs: copyAll(inputs), fetches }))
    const postedAt = clock.now()
    const expectedMs = REPETITIONS * (scheduler.batching.curve.estimate(1) ?? 0)
    pool.balancer.posted(instance, expectedMs)
    return new Promise((resolve) =>
      instance.run(runs, (outcomes) => {
        pool.balancer.answered(instance, { expectedMs, ...verdictOf(outcomes) }, postedAt)
        // The instance is free again.
        scheduler.wake()
        resolve(typeof outcomes === 'string' ? undefined : Math.min(...outcomes.map(({ inferMs }) => inferMs)))
      }),
    )
  }

  return createInline({
    clock,
    loop,
    sessionBytes: BARE_BYTES + COPIES * weightBytes,
    fits: (bytes) => parts().fits(bytes),
    checkSource: () => parts().checkSource(),
    isBusy: () => parts().scheduler.stats.waiting > 0,
    repeat,
    emit,
  })
}

/** A version that serves, and knows whether its requests share runs. */
interface Proved extends Prepared {
  readonly first: Pick<First, 'proving'>
  readonly running: Pick<Running, 'scheduler'>
}

export function termsOf(
  { request, weightBytes, admitted, edited, first, running: { scheduler } }: Proved,
  about: About,
  met: Met,
): Terms {
  const { graph } = met.view
  const { batching } = about.config
  const row = rowBytesOf(graph, { ...met.view.plan?.axes, ...(batching === false ? {} : batching.axes) })
  let inside: Promise<string | undefined> | undefined
  return {
    model: request,
    loaded: met.session,
    rowBytes: typeof row === 'number' ? row : 0,
    against: reasonAgainst(about, met, weightBytes) ?? (typeof row === 'string' ? row : undefined),
    lookInside() {
      inside ??= edited && lookInside(admitted.source, edited)
      return inside ?? Promise.resolve('its graph is not known')
    },
    usual() {
      const { curve, cap } = scheduler.batching
      const isShort = (rows: number): boolean => (curve.estimate(rows) ?? MOST_MS) <= MOST_MS
      const fetches = graph.outputs.map(({ name }) => name)
      const [one, many] = first.proving.usual()
      return [...(one ? [one] : []), ...(many && isShort(cap) ? [many] : [])].map((inputs) => ({ inputs, fetches }))
    },
  }
}

/** Why such a model never runs on the host, as far as its header shows. */
function reasonAgainst({ config, facts, hazard }: About, { session }: Met, weightBytes: number): string | undefined {
  if (session.provider !== 'cpu' || config.providers.some(({ name }) => name !== 'cpu'))
    return 'it may use another execution provider than cpu'
  if (!facts) return 'files in the .ort format do not show their operators'
  if (hazard !== undefined) return `${hazard}, which can end the process that runs it`
  if (facts.externalData.length > 0) return 'it keeps weights in files of their own'
  if (weightBytes > MOST_BYTES) return tooLarge(weightBytes)
  return undefined
}

async function lookInside(source: string | Uint8Array, { facts, patch }: Edited): Promise<string | undefined> {
  // Trees are attributes, which count as no weights.
  const bytes = typeof source === 'string' ? (await stat(source)).size : source.byteLength
  return bytes > MOST_BYTES ? tooLarge(bytes) : findUnbounded(source, facts, patch)
}

const tooLarge = (bytes: number): string => `it has ${bytes} bytes, and a session on the host is made of ${MOST_BYTES} at most`

/** Bytes of all inputs with one row; or why their size is not known from the rows alone, or not carried on every Node. */
function rowBytesOf(graph: ModelSignature, declared: DeclaredAxes): number | string {
  const axes = axesOf(graph, declared)
  let bytes = 0
  for (const value of graph.inputs) {
    const elements = elementsOf(value, typeof axes === 'string' ? undefined : axes.inputs[value.name])
    if (elements === undefined) return `the shape of input '${value.name}' is open beside its rows`
    bytes += elements * bytesPerElement(value.type)
  }
  for (const { name, type } of [...graph.inputs, ...graph.outputs]) {
    if (type === 'string') return `'${name}' holds strings, whose length no shape tells`
    // The host's own Float16Array, in Node 24 and later, is more than ONNX Runtime's binding reads.
    if (type !== undefined && DTYPES[type].kind === 'coded')
      return `'${name}' is of ${type}, which ONNX Runtime reads in workers alone`
  }
  return bytes
}

const bytesPerElement = (type: ValueInfo['type']): number =>
  type === undefined || type === 'string' ? 0 : new DTYPES[type].array(1).byteLength

function elementsOf({ dims }: ValueInfo, rows: number | undefined): number | undefined {
  let elements = 1
  for (const [axis, dim] of (dims ?? ['']).entries()) {
    if (typeof dim === 'number') elements *= dim
    else if (axis !== rows) return undefined
  }
  return elements
}

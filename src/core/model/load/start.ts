/** Makes what a version runs with: instances, the queue before them, and their place in memory. Nothing is started by that. */

import type { InlineTier } from '../../engine/inline/tier.ts'
import { createPool, type Pool } from '../../engine/pool.ts'
import { isRandom } from '../../onnx/index.ts'
import { limitsOf } from '../../scheduler/options.ts'
import { createRecheck } from '../../scheduler/recheck.ts'
import { runEndOf } from '../../scheduler/report.ts'
import { createScheduler, type Scheduler } from '../../scheduler/scheduler.ts'
import { sameWithin } from '../../trial/compare.ts'
import type { About } from '../about.ts'
import { createInlineFor } from '../inline.ts'
import { createProvision, leastInstances, type Provision } from '../provision.ts'
import type { Running } from '../running.ts'
import { createSharing, type Sharing } from '../sharing.ts'
import type { LoadContext } from './context.ts'
import { createFirst, type First } from './first.ts'
import type { Prepared } from './prepare.ts'

/** A version whose instances can be loaded. */
export interface Started extends Prepared {
  readonly running: Running
  readonly first: First
  readonly sharing: Sharing
}

export function start(prepared: Prepared, context: LoadContext): Started {
  const { deps } = context
  const { config, buffers, berth } = context.known()
  const { clock, emit } = deps
  const { grant, weights, weightBytes, content } = prepared
  const settings = {
    ...config.scaling,
    min: leastInstances(config),
    max: config.instances.max,
    balance: config.balance,
  }
  async function checkSource(): Promise<() => Promise<void>> {
    await first.recheck()
    return content.open()
  }
  // They know each other: none of these functions is called before all are there.
  const pool: Pool = createPool(prepared.request, settings, {
    clock,
    buffers,
    open: prepared.open,
    killable: config.isolation === 'process',
    checkSource,
    prepare: (instance, session) => first.prepare(instance, session),
    onSharedLost: weights.lost,
    emit,
    onChange: () => scheduler.wake(),
    oldestWaitMs: () => scheduler.oldestWaitMs,
    claim: (instances) => provision.claim(instances),
  })
  const inline = createInlineFor(prepared, context, () => ({
    pool,
    scheduler,
    fits: (bytes) => provision.slot.fits(bytes),
    checkSource,
  }))
  const scheduler = schedulerFor(pool, inline, context, (reason) => first.proving.refuted(reason))
  const provision: Provision = createProvision(config, {
    cpu: deps.cpu,
    residency: deps.residency,
    ...{ grant, weights, weightBytes, pool, scheduler, inline, emit, berth },
    first: () => first.load(),
  })
  const first: First = createFirst(prepared, context, { pool, scheduler, memory: provision.memory })
  const sharing = createSharing({ pool, weights, provision, emit, unwanted: context.unwanted })

  berth?.onStale(() => void pool.move())
  const { slot } = provision
  context.take({ close: () => slot.leave() })
  context.take({
    async close() {
      await pool.close()
      await sharing.done
    },
    abandon: () => pool.kill(),
  })
  context.take({ close: () => weights.close() })
  if (inline) context.take(inline)
  context.take({ close: () => scheduler.drain(), abandon: (error) => scheduler.abandon(error) })
  context.take({ close: () => first.proving.end() })
  // Still in line for memory: it need not have any.
  context.whenUnwanted(() => {
    if (!slot.resident) slot.leave()
  })
  const running = { pool, scheduler, provision, grant, weights, inline }
  context.begun(running)
  return { ...prepared, running, first, sharing }
}

function schedulerFor(
  pool: Pool,
  inline: InlineTier | undefined,
  context: LoadContext,
  onRefuted: (reason: string) => void,
): Scheduler {
  const { deps, statistics, known } = context
  const { config, buffers } = known()
  const { name: model, version } = config
  const { clock, telemetry } = deps
  return createScheduler({
    ...limitsOf(config),
    pool,
    inline,
    clock,
    buffers,
    prefetch: config.prefetch,
    recheck: isRecheckable(known()) ? createRecheck({ same: sameWithin }) : undefined,
    onRefuted,
    onRun(run) {
      statistics.ran(run)
      if (telemetry?.run) telemetry.run(runEndOf(run, { model, version, provider: known().session.executionProvider }))
    },
  })
}

/** Sequences answer by what came before, random operators by chance; and where the user answers for the rows there is nothing to ask. */
const isRecheckable = ({ config: { batching, sequences }, facts }: About): boolean =>
  batching !== false && !batching.independentRows && !sequences && !facts?.operators.some(isRandom)

/** Prepares the start of instances: their CPUs, and the form in which they hold their weights. */

import type { CpuGrant } from '../../engine/cpu.ts'
import type { LoadRequest } from '../../engine/instance.ts'
import type { SharedForm } from '../../engine/launch.ts'
import { workerSettings } from '../../engine/options.ts'
import { NO_PATCH } from '../../onnx/splice.ts'
import { cpuDemandOf } from '../provision.ts'
import { createWeights, type Weights } from '../weights/weights.ts'
import type { LoadContext } from './context.ts'
import { weightBytesOf } from './files.ts'
import type { Placed } from './place.ts'

/** A version that can be started. */
export interface Prepared extends Placed {
  readonly grant: CpuGrant
  readonly weights: Weights
  readonly weightBytes: number
  /** Shared weights that an earlier start has made. */
  readonly form: SharedForm | undefined
  /** The load of every instance where there are none. */
  readonly request: LoadRequest
}

export async function prepare(placed: Placed, context: LoadContext): Promise<Prepared> {
  const { deps, times } = context
  const { config, facts } = context.known()
  const { clock, cacheDirectory, emit } = deps
  const { source, data } = placed.admitted
  const patch = placed.edited?.patch ?? NO_PATCH
  const grant = deps.cpu.grant(cpuDemandOf(config))
  context.take({ close: () => grant.release() })
  if (grant.excess) emit({ type: 'warning', message: grant.excess })
  const session = { ...config.session, intraOpNumThreads: grant.threads }

  async function findWeights(): Promise<Pick<Prepared, 'weights' | 'weightBytes' | 'form'>> {
    const weightBytes = await weightBytesOf(source, data, facts)
    const { isUnchanged } = placed.content
    const weights = createWeights({ ...config, source, session }, facts, {
      clock,
      patch,
      cacheDirectory,
      weightBytes,
      isUnchanged,
      emit,
    })
    return { weights, weightBytes, form: await weights.find() }
  }

  const found = await times.time('prepare', findWeights())
  const request = {
    source,
    patch,
    data: Array.from(data, ([path, bytes]) => ({ path, bytes })),
    settings: workerSettings({ ...config, session }),
    timeoutMs: config.loadTimeoutMs,
  }
  return { ...placed, ...found, grant, request }
}

/** Says where the runs of a model happen, and why. */

import type { TierInfo } from '../engine/types.ts'
import type { About } from './about.ts'
import type { Running } from './running.ts'

export function tierOf(
  { config, hazard, berth, ownWorker }: Pick<About, 'config' | 'hazard' | 'berth' | 'ownWorker'>,
  running: Pick<Running, 'inline'> | undefined,
): TierInfo {
  if (config.isolation === 'process') {
    const isHazard = hazard !== undefined && !config.isolationGiven
    return { name: 'process', reason: isHazard ? `${hazard}, which can end the process that runs it` : "isolation is 'process'" }
  }
  const info = running?.inline?.info
  if (info?.active) return { name: 'inline', reason: info.reason }
  const { name, reason } = berth?.tier ?? { name: 'worker', reason: `one worker thread for each instance: ${ownWorker}` }
  const against = config.inline === false ? 'inline is false' : `not inline: ${info?.reason ?? 'the model is not loaded'}`
  return { name, reason: `${reason}; ${against}` }
}

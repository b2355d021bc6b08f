/** Says where the runs of a model happen, and why. */

import type { TierInfo } from '../engine/types.ts'
import type { About } from './about.ts'
import type { Running } from './running.ts'

export function tierOf(
  { config, hazard }: Pick<About, 'config' | 'hazard'>,
  running: Pick<Running, 'inline'> | undefined,
): TierInfo {
  if (config.isolation === 'process') {
    const isHazard = hazard !== undefined && !config.isolationGiven
    return { name: 'process', reason: isHazard ? `${hazard}, which can end the process that runs it` : "isolation is 'process'" }
  }
  if (config.inline === false) return { name: 'worker', reason: 'inline is false' }
  const info = running?.inline?.info
  if (info?.active) return { name: 'inline', reason: info.reason }
  return { name: 'worker', reason: `not inline: ${info?.reason ?? 'the model is not loaded'}` }
}

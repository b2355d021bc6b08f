/** Says where the runs of a model happen, and why. */

import type { TierInfo } from '../engine/types.ts'
import type { About } from './about.ts'

export function tierOf({ config, hazard }: Pick<About, 'config' | 'hazard'>): TierInfo {
  if (config.isolation === 'thread') return { name: 'worker', reason: 'one worker thread for each instance' }
  const because = hazard !== undefined && !config.isolationGiven ? `${hazard}, which can end the process that runs it` : undefined
  return { name: 'process', reason: because ?? "isolation is 'process'" }
}

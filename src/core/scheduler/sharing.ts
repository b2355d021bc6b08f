/** The current knowledge about sharing runs: requests run one by one until it is set, and again after it was refuted. */

import { type Batching, unbatched } from './batching.ts'

export interface Sharing {
  batching: Batching
}

/** Ends the sharing of runs. @returns false if it is off already */
export function stopSharing(sharing: Sharing, reason: string): boolean {
  const { info, curve } = sharing.batching
  if (info.enabled) sharing.batching = unbatched(reason, curve, 'refuted')
  return info.enabled
}

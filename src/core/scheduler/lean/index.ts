/** The lean path: requests whose rows are written where their run takes them from. */

export type { Lane, LongReason } from './lane.ts'
export type { LeanRequest, Sink } from './request.ts'

/** Where and how models run. */

export type {
  BalanceStrategy,
  Isolation,
  ScalingOptions,
} from './options.ts'
export type { ExecutionProvider, ExecutionProviderName, SessionOptions } from './session-options.ts'

/**
 * Where the runs of a model happen: in a worker thread of its own (`worker`) or with other models (`shared`), on the host's thread while few
 * requests wait (`inline`), in a child process (`process`), or in another engine (`elsewhere`).
 */
export type TierName = 'worker' | 'shared' | 'inline' | 'process' | 'elsewhere'

/** The tier of a model. */
export interface TierInfo {
  readonly name: TierName
  /** Why it is this one, and where that was tried, why it is no other. */
  readonly reason: string
}

/** Memory of a model's instances: `sharedBytes`, and `perInstanceBytes` for each of them. */
export interface MemoryInfo {
  readonly perInstanceBytes: number
  /** Weights that all of them map from one file, counted once; 0 if each has its own. */
  readonly sharedBytes: number
  /** The session on the host, where there is one (`inline`): an estimate. */
  readonly inlineBytes?: number
  /** Source of `perInstanceBytes`: estimated from the size of the weights, or measured if instances are processes (Linux). */
  readonly basis: 'weights' | 'measured'
}

/** How the instances of a model hold its weights, and why. */
export interface WeightsInfo {
  /** `shared`: mapped from one file. `plain`: each instance has its own copy. */
  readonly form: 'plain' | 'shared'
  readonly reason: string
}

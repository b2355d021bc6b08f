/** Where and how models run. */

export type {
  BalanceStrategy,
  Isolation,
  ScalingOptions,
} from './options.ts'
export type { ExecutionProvider, ExecutionProviderName, SessionOptions } from './session-options.ts'

/** What the instances of a model take in memory: `sharedBytes`, and `perInstanceBytes` for each of them. */
export interface MemoryInfo {
  readonly perInstanceBytes: number
  /** Weights that all of them map from one file, counted once; 0 where each has its own. */
  readonly sharedBytes: number
  /** How `perInstanceBytes` is known: reckoned from the size of the weights, or measured where instances are processes (Linux). */
  readonly basis: 'weights' | 'measured'
}

/** How the instances of a model hold its weights, and why. */
export interface WeightsInfo {
  /** `shared`: mapped from one file. `plain`: each instance has its own copy. */
  readonly form: 'plain' | 'shared'
  readonly reason: string
}

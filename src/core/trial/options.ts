/** Options of trying a model before it serves. */

import { boolean, type Declared, decided, isPlainObject, list, oneOf, scalar } from '../options/kinds.ts'
import type { PredictInputs } from '../predict/types.ts'

/** How a model is tried before it serves. */
export interface TrialOptions {
  /**
   * Load the model in a child process of its own and run it there once, before it gets near anything that serves; `'unverified'`: only where
   * no trusted signer has signed it. It runs with the samples of `warmup`, else with inputs that are made up, which `batching: false` forbids.
   * Takes the time of a load.
   * @default true with `isolation: 'process'`, false with `'thread'`
   */
  readonly trialRun?: boolean | 'unverified'
  /**
   * Inputs to run before the model is ready, each as for `predict()`. One that fails fails the load. Their rows are also what batching is tried
   * with. Without samples nothing runs before; inputs are made up, at most 2^20 elements a run, and tried in a child process before an instance
   * runs them. With `batching: false` nothing is made up.
   * @default inputs that are made up
   */
  readonly warmup?: readonly PredictInputs[]
  /**
   * When it is proved that requests may share runs, and measured whether that pays: `'background'`, beside the requests of a model that serves
   * already, each of which runs alone until then; `'before-ready'`, as a part of the load. A proof that was kept (`proofCache`) is there at
   * once. See {@link BatchingInfo.state}.
   * @default 'background'
   */
  readonly proof?: 'background' | 'before-ready'
  /**
   * Keep proofs in `cacheDirectory`, for the next start and for other processes: about a kilobyte each, and no tensor. One is used for the same
   * bytes, options, version of ONNX Runtime and CPU only, for a week. Where the folder cannot be used, nothing is kept.
   * @default true
   */
  readonly proofCache?: boolean
}

export const TRIAL_OPTIONS = {
  trialRun: oneOf(true, false, 'unverified'),
  warmup: list(scalar<PredictInputs>('an object of input name -> value', isPlainObject, { type: 'object' }), { min: 1 }),
  proof: oneOf('background', 'before-ready').default('background'),
  proofCache: boolean.default(true),
} satisfies Declared<TrialOptions>

export type TrialConfig = ReturnType<typeof trialConfig>

/** Decides what was left open. */
export function trialConfig(set: TrialOptions, isolation: 'thread' | 'process') {
  const { trialRun, warmup, ...rest } = decided(TRIAL_OPTIONS, set)
  return { ...rest, trialRun: trialRun ?? isolation === 'process', trialRunGiven: trialRun !== undefined, warmup: warmup ?? [] }
}

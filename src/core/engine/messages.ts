/**
 * Messages between host and worker: plain data only, because structured clone drops classes and error codes.
 * Runs and their answers are packets (`wire/format.ts`); all the rest is seldom sent, and consists of objects.
 */

import type { MessagePort } from 'node:worker_threads'
import type { Patch } from '../onnx/splice.ts'
import type { Dim, DType } from '../tensor/types.ts'
import type { Found, TrialPlan } from '../trial/plan.ts'
import type { Frame } from './frame.ts'
import type { WorkerSettings } from './options.ts'
import type { ExecutionProviderName, OrtSessionOptions } from './session-options.ts'

export interface ProviderFallback {
  readonly provider: ExecutionProviderName
  readonly reason: string
}

/** An input or output as the loaded session reports it; `type` is ONNX Runtime's spelling and may be an unsupported one. */
export interface SessionValue {
  readonly name: string
  readonly isTensor: boolean
  readonly type: DType | string | undefined
  readonly dims: readonly Dim[]
}

export interface ExternalData {
  readonly path: string
  readonly bytes: Uint8Array
}

export type ToWorker =
  | {
      readonly kind: 'load'
      readonly source: string | Uint8Array
      /** Replacements of its bytes before the load. */
      readonly patch: Patch
      readonly data: readonly ExternalData[]
      readonly settings: WorkerSettings
    }
  | { readonly kind: 'release' }
  /** One more session in this thread, which gets its messages by a port of its own. */
  | { readonly kind: 'seat'; readonly number: number; readonly port: MessagePort }
  /** Tries the loaded model. */
  | { readonly kind: 'try'; readonly plan: Omit<TrialPlan, 'given'>; readonly given: Frame; readonly rowsOnly: boolean }
  | { readonly kind: 'digest'; readonly files: readonly string[] }
  | {
      readonly kind: 'derive'
      readonly source: string
      readonly patch: Patch
      readonly session: OrtSessionOptions
      /** Target folder of the derived model. */
      readonly into: string
      /** Inputs to try both models with. */
      readonly samples: Frame
      readonly fetches: readonly string[]
    }

export interface Loaded {
  readonly kind: 'loaded'
  /** Of the messages that the worker reads and writes. */
  readonly format: number
  readonly inputs: readonly SessionValue[]
  readonly outputs: readonly SessionValue[]
  readonly provider: ExecutionProviderName
  readonly fallbacks: readonly ProviderFallback[]
  readonly loadMs: number
  /** Requested settings that could not be applied; the model works without them. */
  readonly warnings: readonly string[]
}

export type FromWorker =
  | Loaded
  | { readonly kind: 'load-failed'; readonly message: string; readonly fallbacks: readonly ProviderFallback[] }
  | { readonly kind: 'released' }
  | {
      readonly kind: 'tried'
      /** Single-row requests that the model accepts. */
      readonly rows: Frame
      readonly found: Omit<Found, 'rows'>
    }
  /** sha256 per file; '' for a missing one. */
  | { readonly kind: 'digested'; readonly digests: readonly string[] }
  | {
      readonly kind: 'derived'
      /** Outputs of the plain model for each sample, then those of the derived one. */
      readonly outputs: Frame
      /** Shortest plain run divided by shortest derived run, for the worst sample. */
      readonly speed: number
    }

/** Words of the flags array that a worker thread shares with its host. */
export const PENDING = 0
export const STOP = 1
/** In a thread with several sessions: one more than the number of the seat whose job is being done; 0 between jobs. */
export const SEATED = 2

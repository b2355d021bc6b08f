/** Where and how models run. Defaults are documented here and live in options.ts. */

import type { STRATEGIES } from './strategies.ts'

/** Execution providers that modelmount can ask ONNX Runtime for. */
export type ExecutionProviderName = 'cpu' | 'cuda' | 'tensorrt' | 'dml' | 'coreml' | 'webgpu'

export type ExecutionProvider = ExecutionProviderName | { readonly name: ExecutionProviderName; readonly deviceId?: number }

/** Where runs happen: in a worker thread, or in a child process that can be killed and cannot take the host down. */
export type Isolation = 'thread' | 'process'

/** ONNX Runtime session options that may be set; anything else is refused. */
export interface SessionOptions {
  /** Threads that one run may use. @default the CPUs for models, shared by the instances (at most) of all models, at least 1 */
  readonly intraOpNumThreads?: number
  /** Threads across independent nodes; only used with `executionMode: 'parallel'`. @default 1 */
  readonly interOpNumThreads?: number
  /** @default 'all' */
  readonly graphOptimizationLevel?: 'disabled' | 'basic' | 'extended' | 'layout' | 'all'
  /** @default 'sequential' */
  readonly executionMode?: 'sequential' | 'parallel'
  /** ONNX Runtime's arena never gives memory back after a large request. @default `enableMemPattern`, or false without it */
  readonly enableCpuMemArena?: boolean
  /** Plans memory by shape. Without the arena it keeps memory for every new size of input. @default `enableCpuMemArena`, or false without it */
  readonly enableMemPattern?: boolean
  /** Let idle threads spin, which burns CPU that the host's event loop needs. @default false */
  readonly allowSpinning?: boolean
  /** Keep weights in the file's layout: less memory per instance, slower runs. @default false */
  readonly disablePrepacking?: boolean
  /** Treat denormal floats as zero. @default false */
  readonly denormalAsZero?: boolean
}

/**
 * Which instance gets the next work: `fastest`, the one that is expected to be done first, by what is posted to it and how fast it was
 * lately; `round-robin`; `least-outstanding`; `response-time`, the lowest recent response time times its line; `two-choices`, the better
 * one of two drawn at random.
 */
export type BalanceStrategy = keyof typeof STRATEGIES

/** When instances are added and taken away between `instances.min` and `instances.max`. */
export interface ScalingOptions {
  /** Requests that wait longer than this, for a quarter of a second without a break, call for more instances. @default 20 */
  readonly targetDelayMs?: number
  /** Milliseconds of little load after which one instance goes. @default 60000 */
  readonly idleMs?: number
}

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

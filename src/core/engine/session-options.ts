/** Execution providers, and session options with defaults for a server that shares its machine with a web application, in ONNX Runtime's spelling. */

import { boolean, type Declared, decided, either, integer, list, object, oneOf } from '../options/kinds.ts'

/** Execution providers that modelmount can ask ONNX Runtime for. */
export type ExecutionProviderName = 'cpu' | 'cuda' | 'tensorrt' | 'dml' | 'coreml' | 'webgpu'
export type ExecutionProvider = ExecutionProviderName | { readonly name: ExecutionProviderName; readonly deviceId?: number }

/** ONNX Runtime session options that may be set; anything else is refused. */
export interface SessionOptions {
  /** Threads that one run may use. @default the CPUs for models, shared by the instances (at most) of all models, at least 1 */
  readonly intraOpNumThreads?: number
  /** Threads across independent nodes; only used with `executionMode: 'parallel'`. @default 1 */
  readonly interOpNumThreads?: number
  /** How far ONNX Runtime optimises the graph when it loads it. @default 'all' */
  readonly graphOptimizationLevel?: 'disabled' | 'basic' | 'extended' | 'layout' | 'all'
  /** Whether independent nodes may run side by side. @default 'sequential' */
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

export interface ProviderRequest {
  readonly name: ExecutionProviderName
  readonly deviceId?: number
}

/** Session options in ONNX Runtime's own spelling. */
export interface OrtSessionOptions {
  readonly intraOpNumThreads: number
  readonly interOpNumThreads: number
  readonly graphOptimizationLevel: 'disabled' | 'basic' | 'extended' | 'layout' | 'all'
  readonly executionMode: 'sequential' | 'parallel'
  readonly enableCpuMemArena: boolean
  readonly enableMemPattern: boolean
  readonly logSeverityLevel: 0 | 1 | 2 | 3 | 4
  readonly extra: Readonly<Record<string, string>>
}

/** The union as a list that lacks none. */
const PROVIDERS: Readonly<Record<ExecutionProviderName, true>> = {
  cpu: true,
  cuda: true,
  tensorrt: true,
  dml: true,
  coreml: true,
  webgpu: true,
}

const providerName = oneOf(...(Object.keys(PROVIDERS) as ExecutionProviderName[]))

const SESSION = {
  intraOpNumThreads: integer(1, 1024),
  interOpNumThreads: integer(1, 1024).default(1),
  graphOptimizationLevel: oneOf('disabled', 'basic', 'extended', 'layout', 'all').default('all'),
  executionMode: oneOf('sequential', 'parallel').default('sequential'),
  enableCpuMemArena: boolean,
  enableMemPattern: boolean,
  allowSpinning: boolean.default(false),
  disablePrepacking: boolean.default(false),
  denormalAsZero: boolean.default(false),
} satisfies Declared<SessionOptions>

export const session = object<SessionOptions>(SESSION)

const withDevice = object<Exclude<ExecutionProvider, string>>({ name: providerName.required(), deviceId: integer(0, 1024) })

export const executionProviders = list(either(providerName, withDevice), { min: 1 })

/** Without `intraOpNumThreads` a run has one thread; the CPU budget sets this model's share before it loads. */
export function ortSessionOptions(given: SessionOptions): OrtSessionOptions {
  const { allowSpinning, disablePrepacking, denormalAsZero, enableCpuMemArena, enableMemPattern, ...rest } = decided(
    SESSION,
    given,
  )
  const extra: Record<string, string> = {
    // Spinning threads burn eight times the CPU of an idle server and starve the event loop beside them.
    'session.intra_op.allow_spinning': allowSpinning ? '1' : '0',
    'session.inter_op.allow_spinning': allowSpinning ? '1' : '0',
  }
  if (disablePrepacking) extra['session.disable_prepacking'] = '1'
  if (denormalAsZero) extra['session.set_denormal_as_zero'] = '1'
  return {
    ...rest,
    intraOpNumThreads: rest.intraOpNumThreads ?? 1,
    // Patterns without the arena keep memory for each new size of input. So one that is given stands for both.
    enableCpuMemArena: enableCpuMemArena ?? enableMemPattern ?? false,
    enableMemPattern: enableMemPattern ?? enableCpuMemArena ?? false,
    // Native log lines quote names from the model raw, so a hostile model could forge the host's log; the text still comes with the error.
    logSeverityLevel: 4,
    extra,
  }
}

export const providerRequest = (provider: ExecutionProvider): ProviderRequest =>
  typeof provider === 'string' ? { name: provider } : provider

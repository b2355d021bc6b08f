/** Validates, defaults and freezes every option; the only place where defaults live. All problems are reported at once, each with its path. */

import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isMainThread } from 'node:worker_threads'
import type { CacheOptions, CacheStore } from './cache/types.ts'
import type { EncryptionOptions } from './crypto/index.ts'
import type { OrtSessionOptions, ProviderRequest } from './engine/messages.ts'
import { ortSessionOptions, providerRequest } from './engine/session-options.ts'
import { BALANCE_STRATEGIES } from './engine/strategies.ts'
import type { BalanceStrategy, ExecutionProviderName, Isolation } from './engine/types.ts'
import { ModelmountError } from './errors.ts'
import type { Logger } from './host/logger.ts'
import type { HttpDialect, MountOptions } from './http/types.ts'
import type { GateConfig, SignatureSource } from './integrity/index.ts'
import type { ModelInfo, ModelSettings, ModelSource, ModelSpec, ValueSettings } from './model/types.ts'
import type { OpenApiOptions } from './openapi/types.ts'
import type { PredictInputs, PredictOptions } from './predict/types.ts'
import type { FoundModel, SettingsLayer } from './registry/found.ts'
import type { ConfigNote, VersionPolicy } from './registry/types.ts'
import type { BatchSettings } from './scheduler/batching.ts'
import type { BatchOptions, Priority } from './scheduler/types.ts'
import type { SequenceSettings } from './sequences/index.ts'
import type { SequenceOptions } from './sequences/types.ts'
import type { ModelServerOptions } from './server/types.ts'
import type { Telemetry } from './telemetry.ts'
import { DTYPES } from './tensor/index.ts'

export const PROVIDERS: readonly ExecutionProviderName[] = ['cpu', 'cuda', 'tensorrt', 'dml', 'coreml', 'webgpu']

/** A model version with every setting decided. */
export interface ModelConfig {
  readonly name: string
  readonly version: string
  /** An absolute path, or the bytes of the file. */
  readonly source: string | Uint8Array
  readonly signature: SignatureSource | undefined
  readonly isolation: Isolation
  /** The user has said so, for the model or for all; else the graph may show that another tier is needed. */
  readonly isolationGiven: boolean
  readonly canary: boolean | 'unverified'
  readonly canaryGiven: boolean
  readonly instances: { readonly min: number; readonly max: number }
  readonly shareWeights: boolean | 'auto'
  readonly scaling: { readonly targetDelayMs: number; readonly idleMs: number }
  readonly balance: BalanceStrategy
  readonly idleUnloadMs: number | undefined
  readonly niceness: number
  /** Threads of one run that were asked for; `undefined` for a fair share of the CPUs. */
  readonly threads: number | undefined
  readonly providers: readonly ProviderRequest[]
  readonly strictProviders: boolean
  readonly session: OrtSessionOptions
  readonly batching: BatchSettings | false
  readonly cache: CacheOptions | false
  readonly timeoutMs: number
  /** Longest deadline that a request over HTTP may ask for. */
  readonly maxTimeoutMs: number
  readonly warmup: readonly PredictInputs[]
  readonly loadTimeoutMs: number
  readonly maxQueue: number
  readonly maxQueueBytes: number
  readonly maxQueuePerTenant: number
  readonly maxMemoryBytes: number | undefined
  readonly maxElements: number
  readonly allowOrtFormat: boolean
  readonly priority: Priority
  /** Rows of one request; `undefined` for no bound. */
  readonly maxBatch: number | undefined
  readonly maxWaitMs: number | undefined
  readonly inputs: Readonly<Record<string, ValueSettings>>
  readonly outputs: Readonly<Record<string, ValueSettings>>
  readonly labels: Readonly<Record<string, readonly string[]>> | undefined
  readonly sequences: SequenceSettings | undefined
  /** Of all versions of the name, with the versions they point at. */
  readonly versionLabels: ReadonlyMap<string, string>
  readonly metadata: Readonly<Record<string, string>>
  /** The model's `config.pbtxt`, where it has one. */
  readonly tritonConfig: ModelInfo['tritonConfig']
  readonly configNotes: readonly ConfigNote[]
  /** Why the model cannot be served, found before its file was read. */
  readonly fault: ModelmountError | undefined
}

/** What a repository knows of a model beside its settings. */
type FoundConfig = Partial<Pick<ModelConfig, 'tritonConfig' | 'configNotes' | 'fault'>>

export interface ServerConfig {
  readonly name: string
  readonly models: readonly ModelConfig[]
  readonly repository: string | undefined
  /** Of all models of the repository; `undefined` for what each model's files say, or all. */
  readonly versionPolicy: VersionPolicy | undefined
  readonly strict: boolean
  /** Bytes for the instances of all models; `undefined` for no bound. */
  readonly memoryBudgetBytes: number | undefined
  readonly maxBodyBytes: number
  readonly maxJsonBytes: number
  readonly maxInflightBytes: number
  readonly bodyTimeoutMs: number
  readonly cacheDirectory: string | undefined
  readonly integrity: GateConfig
  readonly scan: boolean
  readonly encryption: EncryptionOptions | undefined
  readonly logger: Logger
  readonly telemetry: Telemetry | undefined
  /** Settings for models that come without their own: repository models and later `load()` calls. */
  readonly settings: ModelSettings
}

const DEFAULTS = {
  // A worker thread can be ended by its owner at any time, and with it the whole process while a thread of ours is in a native call.
  isolation: isMainThread ? 'thread' : 'process',
  instances: 1,
  shareWeights: 'auto',
  scaling: {},
  balance: 'fastest',
  niceness: 0,
  executionProviders: ['cpu'],
  strictProviders: false,
  session: {},
  batching: {},
  cache: false,
  timeoutMs: 30_000,
  loadTimeoutMs: 120_000,
  maxQueue: 1000,
  maxQueueBytes: 256 * 1024 * 1024,
  maxElements: 2 ** 26,
  allowOrtFormat: false,
  priority: 'normal',
} as const satisfies ModelSettings

const INFLIGHT_BYTES = 256 * 1024 * 1024
/** A body that was packed is there as it came, in one piece, and unpacked; and one must not keep out all others. */
const BODIES_IN_FLIGHT = 4

const BATCH_DEFAULTS: BatchSettings = {
  maxSize: 64,
  maxRunMs: 50,
  maxElements: 2 ** 24,
  maxDelayMs: 0,
  mixTenants: false,
  axes: {},
  ragged: undefined,
  independentRows: false,
}

const RAGGED_DEFAULTS = { axes: {}, padValue: 0, multipleOf: 1, maxWaste: 0.25 }

const SCALING_DEFAULTS = { targetDelayMs: 20, idleMs: 60_000 }

const SEQUENCE_DEFAULTS = { idleTimeoutMs: 60_000, maxSequences: 1000, maxBytes: 256 * 1024 * 1024 }

const SILENT: Logger = { info() {}, warn() {}, error() {} }
const CONSOLE: Logger = {
  info() {},
  warn: (message) => console.warn(`modelmount: ${message}`),
  error: (message) => console.error(`modelmount: ${message}`),
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/

// ---------------------------------------------------------------- checking

/** Returns what is wrong with a value, or nothing. */
type Check = (value: unknown, path: string, problems: string[]) => void

const kindOf = (value: unknown): string => {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
  return typeof value === 'object' ? 'an object' : typeof value
}

const expect =
  (expected: string, test: (value: unknown) => boolean): Check =>
  (value, path, problems) => {
    if (!test(value)) problems.push(`${path} must be ${expected}, got ${kindOf(value)}`)
  }

const isPlainObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value))

const integer = (min: number, max: number): Check =>
  expect(
    `an integer from ${min} to ${max}`,
    (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max,
  )
const positiveMs: Check = expect(
  'a number of milliseconds over 0',
  (value) => typeof value === 'number' && value > 0 && Number.isFinite(value),
)
const boolean: Check = expect('true or false', (value) => typeof value === 'boolean')
const oneOf = (...values: readonly string[]): Check =>
  expect(`one of ${values.map((value) => `'${value}'`).join(', ')}`, (value) => values.includes(value as string))
const modelName: Check = expect(
  'a name of letters, digits, `.`, `_` or `-`, at most 128 long and starting with a letter or digit',
  (value) => typeof value === 'string' && NAME.test(value),
)

const object =
  (fields: Readonly<Record<string, Check>>, required: readonly string[] = []): Check =>
  (value, path, problems) => {
    if (!isPlainObject(value)) {
      problems.push(`${path || 'options'} must be an object, got ${kindOf(value)}`)
      return
    }
    const at = (key: string): string => (path ? `${path}.${key}` : key)
    for (const key of required) if (value[key] === undefined) problems.push(`${at(key)} is missing`)
    for (const [key, field] of Object.entries(value)) {
      if (!Object.hasOwn(fields, key)) problems.push(`${at(key)} is not an option; known are ${Object.keys(fields).join(', ')}`)
      else if (field !== undefined) fields[key]?.(field, at(key), problems)
    }
  }

const list =
  (item: Check, minLength = 0): Check =>
  (value, path, problems) => {
    if (!Array.isArray(value)) problems.push(`${path} must be an array, got ${kindOf(value)}`)
    else if (value.length < minLength) problems.push(`${path} must not be empty`)
    else for (const [index, element] of value.entries()) item(element, `${path}[${index}]`, problems)
  }

const provider: Check = (value, path, problems) => {
  if (typeof value === 'string') oneOf(...PROVIDERS)(value, path, problems)
  else object({ name: oneOf(...PROVIDERS), deviceId: integer(0, 1024) }, ['name'])(value, path, problems)
}

const session: Check = object({
  intraOpNumThreads: integer(1, 1024),
  interOpNumThreads: integer(1, 1024),
  graphOptimizationLevel: oneOf('disabled', 'basic', 'extended', 'layout', 'all'),
  executionMode: oneOf('sequential', 'parallel'),
  enableCpuMemArena: boolean,
  enableMemPattern: boolean,
  allowSpinning: boolean,
  disablePrepacking: boolean,
  denormalAsZero: boolean,
})

/** An object whose keys are names of the user's own. */
const byName =
  (item: Check): Check =>
  (value, path, problems) => {
    if (!isPlainObject(value)) problems.push(`${path} must be an object, got ${kindOf(value)}`)
    else for (const [name, field] of Object.entries(value)) item(field, `${path}.${name}`, problems)
  }

const axis: Check = expect(
  "a dimension from 0 to 31, or 'shared'",
  (item) => item === 'shared' || (Number.isInteger(item) && (item as number) >= 0 && (item as number) < 32),
)
const finite: Check = expect('a finite number', Number.isFinite)

const ragged: Check = object(
  {
    mask: expect('the name of an input', (name) => typeof name === 'string' && name !== ''),
    axes: byName(integer(0, 31)),
    padValue: (value, path, problems) => (isPlainObject(value) ? byName(finite) : finite)(value, path, problems),
    multipleOf: integer(1, 2 ** 20),
    maxWaste: expect('a number from 0.01 to 0.9', (share) => typeof share === 'number' && share >= 0.01 && share <= 0.9),
  },
  ['mask'],
)

const batching: Check = (value, path, problems) => {
  if (value !== false)
    object({
      maxSize: integer(1, 1024),
      maxRunMs: positiveMs,
      maxElements: integer(1, 2 ** 40),
      maxDelayMs: expect('a number of milliseconds from 0 to 10000', (ms) => typeof ms === 'number' && ms >= 0 && ms <= 10_000),
      mixTenants: boolean,
      axes: byName(axis),
      ragged,
      independentRows: boolean,
    })(value, path, problems)
}

const instances: Check = (value, path, problems) => {
  if (!isPlainObject(value)) {
    expect('an integer from 1 to 256, or { min, max }', (n) => Number.isInteger(n) && (n as number) >= 1 && (n as number) <= 256)(
      value,
      path,
      problems,
    )
    return
  }
  object({ min: integer(0, 256), max: integer(1, 256) }, ['min', 'max'])(value, path, problems)
  if (Number(value.min) > Number(value.max))
    problems.push(`${path}.min (${kindOf(value.min)}) must not be over ${path}.max (${kindOf(value.max)})`)
}

/** An object of any class, a client's own for example. */
const cacheStore: Check = (value, path, problems) => {
  const store = (typeof value === 'object' ? value : undefined) as Partial<Record<keyof CacheStore, unknown>> | null | undefined
  if (typeof store?.get !== 'function' || typeof store.set !== 'function')
    problems.push(`${path} must have the methods get and set, got ${kindOf(value)}`)
  if (!store) return
  const { secret } = store
  if (!(secret instanceof Uint8Array)) problems.push(`${path}.secret must be a Uint8Array, got ${kindOf(secret)}`)
  else if (secret.byteLength < 32) problems.push(`${path}.secret must have at least 32 bytes, got ${secret.byteLength}`)
  // A placeholder, or wiped after use while later load() calls still need it.
  else if (secret.every((byte) => byte === 0)) problems.push(`${path}.secret must be random bytes, got zeros`)
  if (store.timeoutMs !== undefined) positiveMs(store.timeoutMs, `${path}.timeoutMs`, problems)
}

const cacheBytes = integer(4096, Number.MAX_SAFE_INTEGER)
const cacheTtlMs = integer(1, Number.MAX_SAFE_INTEGER)

const cache: Check = (value, path, problems) => {
  if (value !== false) object({ maxBytes: cacheBytes, ttlMs: cacheTtlMs, store: cacheStore }, ['maxBytes'])(value, path, problems)
}

const priority: Check = oneOf('high', 'normal', 'low')

const SETTINGS: Readonly<Record<keyof ModelSettings, Check>> = {
  isolation: oneOf('thread', 'process'),
  canary: expect("true, false or 'unverified'", (value) => typeof value === 'boolean' || value === 'unverified'),
  instances,
  shareWeights: expect("true, false or 'auto'", (value) => typeof value === 'boolean' || value === 'auto'),
  scaling: object({ targetDelayMs: positiveMs, idleMs: positiveMs }),
  balance: oneOf(...BALANCE_STRATEGIES),
  idleUnloadMs: positiveMs,
  niceness: integer(0, 19),
  executionProviders: list(provider, 1),
  strictProviders: boolean,
  session,
  batching,
  cache,
  timeoutMs: positiveMs,
  maxTimeoutMs: positiveMs,
  warmup: list(expect('an object of input name -> value', isPlainObject), 1),
  loadTimeoutMs: positiveMs,
  maxQueue: integer(1, 10_000_000),
  maxQueueBytes: integer(1, Number.MAX_SAFE_INTEGER),
  maxQueuePerTenant: integer(1, 10_000_000),
  maxMemoryBytes: integer(1024 * 1024, Number.MAX_SAFE_INTEGER),
  maxElements: integer(1, 2 ** 40),
  allowOrtFormat: boolean,
  priority,
  maxBatch: integer(1, 2 ** 32 - 1),
  maxWaitMs: positiveMs,
}

const sizes: Check = (value, path, problems) => {
  list(integer(-1, 2 ** 32 - 1))(value, path, problems)
  if (Array.isArray(value) && value.length > 32) problems.push(`${path} must have at most 32 dimensions, got ${value.length}`)
}

const valueFields = { type: oneOf(...Object.keys(DTYPES)), dims: sizes, reshape: sizes }

const valueSettings =
  (fields: Readonly<Record<string, Check>>): Check =>
  (value, path, problems) => {
    object(fields)(value, path, problems)
    if (isPlainObject(value) && value.reshape !== undefined && value.dims === undefined)
      problems.push(`${path}.reshape needs ${path}.dims, which says what requests send`)
  }

const text: Check = expect('a string', (value) => typeof value === 'string')

const outputName: Check = expect('the name of an output', (name) => typeof name === 'string' && name !== '')

const sequenceState: Check = (value, path, problems) => {
  if (typeof value === 'string') outputName(value, path, problems)
  else
    object(
      {
        output: outputName,
        returned: boolean,
        dims: sizes,
        initial: (initial, at, found) => (Array.isArray(initial) ? list(finite, 1) : finite)(initial, at, found),
      },
      ['output'],
    )(value, path, problems)
}

const controlKind = oneOf('start', 'end', 'ready', 'id')
const twoValues: Check = expect(
  'two finite numbers, for no and for yes',
  (pair) => Array.isArray(pair) && pair.length === 2 && pair.every(Number.isFinite),
)
const sequenceControl: Check = (value, path, problems) => {
  if (typeof value === 'string') controlKind(value, path, problems)
  else object({ is: controlKind, values: twoValues }, ['is'])(value, path, problems)
}

const sequences: Check = (value, path, problems) => {
  object({
    state: byName(sequenceState),
    controls: byName(sequenceControl),
    idleTimeoutMs: positiveMs,
    maxSequences: integer(1, 10_000_000),
    maxPerTenant: integer(1, 10_000_000),
    maxBytes: integer(1, Number.MAX_SAFE_INTEGER),
  })(value, path, problems)
  if (!isPlainObject(value) || !isPlainObject(value.state) || !isPlainObject(value.controls)) return
  for (const name of Object.keys(value.controls))
    if (Object.hasOwn(value.state, name)) problems.push(`${path}.controls.${name} is an input of ${path}.state already`)
}

/** What only a model by itself has. */
const OF_ONE_MODEL: Readonly<Record<string, Check>> = {
  inputs: byName(valueSettings({ ...valueFields, optional: boolean, nonFinite: oneOf('allow', 'reject') })),
  outputs: byName(valueSettings(valueFields)),
  sequences,
  labels: byName(list(text, 1)),
  versionLabels: (value, path, problems) => {
    byName(modelName)(value, path, problems)
    if (isPlainObject(value)) for (const label of Object.keys(value)) modelName(label, `a name in ${path}`, problems)
  },
  metadata: byName(text),
}

function pathOf(url: URL): string | undefined {
  try {
    return fileURLToPath(url)
  } catch {
    return undefined
  }
}

const source: Check = (value, path, problems) => {
  if (value instanceof URL) {
    if (value.protocol !== 'file:')
      problems.push(`${path} must be a file: URL; fetch ${value.protocol} sources yourself and pass the bytes`)
    else if (pathOf(value) === undefined)
      problems.push(`${path} must be a file: URL of a local path, without host and without escaped slashes`)
  } else if (value instanceof Uint8Array) {
    if (value.byteLength === 0) problems.push(`${path} is an empty Uint8Array`)
  } else if (typeof value !== 'string' || value === '') {
    problems.push(`${path} must be a path, a file: URL or a Uint8Array, got ${kindOf(value)}`)
  } else if (/^https?:\/\//i.test(value)) {
    problems.push(`${path} must be a path or a file: URL; fetch remote models yourself and pass the bytes`)
  }
}

const filled: Check = expect('a string that is not empty', (value) => typeof value === 'string' && value !== '')
const location: Check = expect(
  'a path or a file: URL',
  (value) => (typeof value === 'string' && value !== '') || (value instanceof URL && value.protocol === 'file:'),
)

const signature: Check = (value, path, problems) => {
  if (!(value instanceof Uint8Array)) location(value, path, problems)
}

const oneOrMore =
  (item: Check): Check =>
  (value, path, problems) =>
    (Array.isArray(value) ? list(item, 1) : item)(value, path, problems)

const signer: Check = (value, path, problems) => {
  object({
    models: list(filled, 1),
    publicKey: oneOrMore(location),
    certificates: object({ roots: list(location, 1), subjects: list(filled), validity: oneOf('notBefore', 'now', 'both') }, [
      'roots',
    ]),
    keyless: object({ identity: filled, issuer: filled, trustedRoot: location }, ['identity', 'issuer']),
  })(value, path, problems)
  if (isPlainObject(value) && !['publicKey', 'certificates', 'keyless'].some((anchor) => value[anchor] !== undefined))
    problems.push(`${path} must have publicKey, certificates or keyless`)
}

const keyProvider: Check = (value, path, problems) => {
  const methods = value as Partial<Record<'current' | 'byId', unknown>> | null
  if (typeof methods !== 'object' || typeof methods?.current !== 'function' || typeof methods.byId !== 'function')
    problems.push(`${path} must be an object with the functions current() and byId()`)
}

const trust: Check = object(
  {
    signers: list(signer),
    revoked: (value, path, problems) => (Array.isArray(value) ? list(filled) : filled)(value, path, problems),
  },
  ['signers'],
)

const spec: Check = object({ ...SETTINGS, ...OF_ONE_MODEL, signature, name: modelName, version: modelName, source }, [
  'name',
  'source',
])

const logger: Check = (value, path, problems) => {
  if (value === false) return
  const methods = value as Partial<Record<'info' | 'log' | 'warn' | 'error', unknown>> | null
  const informs = typeof methods?.info === 'function' || typeof methods?.log === 'function'
  if (!informs || typeof methods.warn !== 'function' || typeof methods.error !== 'function')
    problems.push(`${path} must be false or have the methods info (or log), warn and error`)
}

const telemetry: Check = (value, path, problems) => {
  const hooks = value as Partial<Record<keyof Telemetry, unknown>> | null
  const known: readonly (keyof Telemetry)[] = ['watch', 'begin', 'end', 'run', 'load', 'metricsText']
  if (typeof hooks !== 'object' || hooks === null || !known.some((hook) => typeof hooks[hook] === 'function'))
    problems.push(`${path} must have one of the methods ${known.join(', ')}; otelTelemetry() gives all`)
}

const versionPolicy: Check = (value, path, problems) => {
  if (value === 'all') return
  if (isPlainObject(value) && Object.hasOwn(value, 'specific')) object({ specific: list(modelName, 1) })(value, path, problems)
  else object({ latest: integer(1, 1_000_000) }, ['latest'])(value, path, problems)
}

/** Whether a model is to be tried out first is not for its own folder to say. */
const { canary: _, ...OWN_SETTINGS } = SETTINGS

/** What `model.json` may say: everything that JSON can hold, but for what protects the server from it. */
const modelFile: Check = object({
  ...OWN_SETTINGS,
  ...OF_ONE_MODEL,
  $schema: text,
  versionPolicy,
  file: expect(
    'the name of a file in the version directories',
    (value) => typeof value === 'string' && /^[^/\\\0]{1,255}$/.test(value) && value !== '.' && value !== '..',
  ),
  cache: (value, path, problems) => {
    if (value !== false) object({ maxBytes: cacheBytes, ttlMs: cacheTtlMs }, ['maxBytes'])(value, path, problems)
  },
  labels: byName((value, path, problems) => (typeof value === 'string' ? text : list(text, 1))(value, path, problems)),
})

/** Checks the content of a `model.json`; returns all problems. */
export function checkModelFile(value: unknown): readonly string[] {
  const problems: string[] = []
  modelFile(value, '', problems)
  return problems.map((problem) => problem.replace(/^options must/, 'it must'))
}

const serverOptions: Check = object({
  ...SETTINGS,
  models: list(spec),
  repository: expect('the path of a directory', (value) => typeof value === 'string' && value !== ''),
  versionPolicy,
  strict: boolean,
  memory: object({ budgetBytes: integer(1, Number.MAX_SAFE_INTEGER) }, ['budgetBytes']),
  maxBodyBytes: integer(1, 2 ** 31 - 1),
  maxJsonBytes: integer(1, 2 ** 29 - 1),
  maxInflightBytes: integer(1, Number.MAX_SAFE_INTEGER),
  bodyTimeoutMs: integer(1, 2 ** 31 - 1),
  cacheDirectory: expect('the path of a directory', (value) => typeof value === 'string' && value !== ''),
  trust,
  verification: oneOf('require', 'warn', 'off'),
  scan: oneOf('on', 'off'),
  lock: filled,
  encryption: object({ keys: keyProvider, app: filled }, ['keys']),
  store: object({ dir: filled, maxBytes: integer(0, Number.MAX_SAFE_INTEGER), rehash: boolean }),
  name: modelName,
  logger,
  telemetry,
})

function refuse(problems: readonly string[]): void {
  if (problems.length === 0) return
  throw new ModelmountError(
    'OPTIONS_INVALID',
    problems.length === 1 ? `${problems[0]}` : `${problems.length} problems: ${problems.join('; ')}`,
    {
      details: { problems },
    },
  )
}

// ---------------------------------------------------------------- resolving

/** Bytes are copied: instances that start later must run what was loaded, whatever becomes of the caller's array. */
function sourceOf(source: ModelSource): string | Uint8Array {
  if (source instanceof URL) return fileURLToPath(source)
  // A child works in another folder, and the host may change its own.
  return typeof source === 'string' ? resolve(source) : new Uint8Array(source)
}

function resolveModel(spec: ModelSpec, shared: ModelSettings, found: FoundConfig = {}): ModelConfig {
  const set = { ...DEFAULTS, ...defined(shared), ...defined(spec) }
  const instances = typeof set.instances === 'number' ? { min: set.instances, max: set.instances } : { ...set.instances }
  const scaling = { ...SCALING_DEFAULTS, ...defined(set.scaling) }
  const session = { ...shared.session, ...spec.session }
  return Object.freeze({
    name: spec.name,
    version: spec.version ?? '1',
    source: sourceOf(spec.source),
    signature: spec.signature,
    isolation: set.isolation,
    isolationGiven: (spec.isolation ?? shared.isolation) !== undefined,
    canaryGiven: set.canary !== undefined,
    canary: set.canary ?? set.isolation === 'process',
    instances,
    shareWeights: set.shareWeights,
    scaling,
    balance: set.balance,
    idleUnloadMs: set.idleUnloadMs ?? (instances.min === 0 ? scaling.idleMs : undefined),
    niceness: set.niceness,
    threads: session.intraOpNumThreads,
    providers: set.executionProviders.map(providerRequest),
    strictProviders: set.strictProviders,
    session: ortSessionOptions(session),
    batching: set.batching === false ? false : resolveBatching(set.batching),
    // The same inputs mean something else in another state.
    cache: spec.sequences ? false : set.cache,
    timeoutMs: set.timeoutMs,
    maxTimeoutMs: set.maxTimeoutMs ?? set.timeoutMs,
    warmup: set.warmup ?? [],
    loadTimeoutMs: set.loadTimeoutMs,
    maxQueue: set.maxQueue,
    maxQueueBytes: set.maxQueueBytes,
    maxQueuePerTenant: set.maxQueuePerTenant ?? Math.ceil(set.maxQueue / 2),
    maxMemoryBytes: set.maxMemoryBytes,
    maxElements: set.maxElements,
    allowOrtFormat: set.allowOrtFormat,
    priority: set.priority,
    maxBatch: set.maxBatch,
    maxWaitMs: set.maxWaitMs,
    inputs: spec.inputs ?? {},
    outputs: spec.outputs ?? {},
    sequences: spec.sequences && resolveSequences(spec.sequences),
    labels: spec.labels && Object.assign(Object.create(null), spec.labels),
    versionLabels: new Map(Object.entries(spec.versionLabels ?? {})),
    metadata: spec.metadata ?? {},
    tritonConfig: found.tritonConfig,
    configNotes: found.configNotes ?? [],
    fault: found.fault,
  })
}

function resolveBatching({ ragged, ...batching }: BatchOptions): BatchSettings {
  return {
    ...BATCH_DEFAULTS,
    ...defined(batching),
    ragged: ragged && { ...RAGGED_DEFAULTS, ...defined(ragged), mask: ragged.mask },
  }
}

function resolveSequences({ state = {}, controls = {}, ...bounds }: SequenceOptions): SequenceSettings {
  const set = { ...SEQUENCE_DEFAULTS, ...defined(bounds) }
  return {
    ...set,
    maxPerTenant: set.maxPerTenant ?? Math.ceil(set.maxSequences / 2),
    state: new Map(Object.entries(state).map(([name, one]) => [name, typeof one === 'string' ? { output: one } : one])),
    controls: new Map(Object.entries(controls).map(([name, one]) => [name, typeof one === 'string' ? { is: one } : one])),
  }
}

const defined = <T extends object>(value: T): T =>
  Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T

function contradictions(
  spec: ModelSettings & Pick<ModelSpec, 'sequences'>,
  shared: ModelSettings,
  path: string,
  problems: string[],
): void {
  const isolation = spec.isolation ?? shared.isolation ?? DEFAULTS.isolation
  if (spec.maxMemoryBytes !== undefined && isolation !== 'process')
    problems.push(`${path}maxMemoryBytes needs isolation: 'process': a thread's memory cannot be told from the host's`)
  if (spec.isolation === 'thread' && !isMainThread)
    problems.push(
      `${path}isolation is 'thread' inside a worker thread, which its owner can end during a run, and the whole process with it: leave it out, or set 'process'`,
    )
  const { state = {}, controls = {} } = spec.sequences ?? {}
  if (spec.sequences && Object.keys(state).length + Object.keys(controls).length === 0)
    problems.push(`${path}sequences must name the inputs of its state, or controls`)
  if (spec.batching)
    batchingContradictions(spec.batching, spec.timeoutMs ?? shared.timeoutMs ?? DEFAULTS.timeoutMs, path, problems)
}

function batchingContradictions(batching: BatchOptions, timeoutMs: number, path: string, problems: string[]): void {
  const { maxDelayMs = 0, maxSize, axes: rows = {}, ragged } = batching
  const add = (problem: string): void => void problems.push(`${path}batching.${problem}`)
  if (maxDelayMs > 0 && maxSize === 1) add('maxDelayMs waits for company that a maxSize of 1 has no room for')
  if (maxDelayMs > 0 && maxDelayMs >= timeoutMs) add(`maxDelayMs (${maxDelayMs}) must be under timeoutMs (${timeoutMs})`)
  if (!ragged) return
  const { mask, axes = {}, padValue } = ragged
  const rowsOf = (name: string): number | 'shared' => (Object.hasOwn(rows, name) ? (rows[name] as number | 'shared') : 0)
  if (rowsOf(mask) === 'shared') add(`ragged.mask is '${mask}', which axes declares as shared: each row needs its own`)
  if (typeof padValue === 'object' && Object.hasOwn(padValue, mask) && padValue[mask] !== 0)
    add(`ragged.padValue.${mask} must be 0: that is what tells padding from the rest`)
  for (const [name, axis] of Object.entries(axes)) {
    if (rowsOf(name) === axis) add(`ragged.axes.${name} is ${axis}, the dimension that counts the rows of '${name}'`)
    else if (name !== mask && rowsOf(name) === 'shared')
      add(`ragged.axes.${name} is a dimension of an input that axes declares as shared`)
  }
}

/** A label points at one version, whichever version's spec says so. */
function labelContradictions(models: readonly ModelSpec[], problems: string[]): void {
  const said = new Map<string, string>()
  for (const [index, { name, versionLabels = {} }] of models.entries())
    for (const [label, version] of Object.entries(versionLabels)) {
      const key = `${name}@${label}`
      const other = said.get(key) ?? version
      if (other !== version)
        problems.push(`models[${index}].versionLabels.${label} is '${version}', but another version of '${name}' says '${other}'`)
      said.set(key, version)
    }
}

/**
 * Checks the options of `createModelServer()`.
 * @throws ModelmountError `OPTIONS_INVALID` with `details.problems`
 */
export function resolveOptions(options: ModelServerOptions): ServerConfig {
  const problems: string[] = []
  serverOptions(options, '', problems)
  refuse(problems)
  const {
    models = [],
    repository,
    versionPolicy,
    strict = false,
    memory,
    maxBodyBytes = 64 * 1024 * 1024,
    maxJsonBytes = 16 * 1024 * 1024,
    maxInflightBytes = Math.max(INFLIGHT_BYTES, BODIES_IN_FLIGHT * maxBodyBytes),
    bodyTimeoutMs = 60_000,
    cacheDirectory,
    trust,
    verification = trust && trust.signers.length > 0 ? 'require' : 'off',
    lock,
    store,
    scan = 'on',
    encryption,
    name,
    logger,
    telemetry,
    ...settings
  } = options
  if (verification !== 'off' && !trust?.signers.length)
    problems.push(`verification: '${verification}' needs trust.signers: somebody whose signature counts`)
  if (maxInflightBytes < BODIES_IN_FLIGHT * maxBodyBytes)
    problems.push(
      `maxInflightBytes (${maxInflightBytes}) must be at least ${BODIES_IN_FLIGHT} times maxBodyBytes (${maxBodyBytes})`,
    )
  contradictions(settings, {}, '', problems)
  const seen = new Set<string>()
  for (const [index, model] of models.entries()) {
    contradictions(model, settings, `models[${index}].`, problems)
    const key = `${model.name}@${model.version ?? '1'}`
    if (seen.has(key)) problems.push(`models[${index}] is a second version '${model.version ?? '1'}' of '${model.name}'`)
    seen.add(key)
  }
  labelContradictions(models, problems)
  if (repository === undefined && models.length === 0 && options.models === undefined)
    problems.push('models or repository must be given (models: [] for a server that loads later)')
  refuse(problems)
  return Object.freeze({
    name: name ?? 'modelmount',
    models: models.map((model) => resolveModel(model, settings)),
    repository,
    versionPolicy,
    strict,
    memoryBudgetBytes: memory?.budgetBytes,
    maxBodyBytes,
    maxJsonBytes,
    maxInflightBytes,
    bodyTimeoutMs,
    cacheDirectory,
    integrity: { verification, trust, lock, store },
    scan: scan === 'on',
    encryption,
    logger: logger === false ? SILENT : (logger ?? CONSOLE),
    telemetry,
    settings,
  })
}

/** The same for one model spec, with the server's settings below it. */
export function resolveSpec(model: ModelSpec, shared: ModelSettings): ModelConfig {
  const problems: string[] = []
  spec(model, 'spec', problems)
  refuse(problems)
  contradictions(model, shared, 'spec.', problems)
  refuse(problems)
  return resolveModel(model, shared)
}

/** Settings in groups of their own, of which each layer may give a part. */
const GROUPS = [
  'session',
  'scaling',
  'batching',
  'metadata',
  'inputs',
  'outputs',
  'labels',
  'sequences',
  'versionLabels',
] as const

/**
 * Settings over settings; groups are joined by key.
 * @param over wins
 */
export function layered(under: SettingsLayer, over: SettingsLayer): SettingsLayer {
  const joined: Record<string, unknown> = { ...under, ...defined(over) }
  for (const group of GROUPS) {
    const [a, b] = [under[group], over[group]]
    if (a && b) joined[group] = { ...a, ...defined(b) }
  }
  return joined
}

/**
 * A model of the repository. What code says holds for all models: a model's own files are laid under it.
 * Never throws: what is wrong with one model must not keep the others from being served.
 */
export function resolveFound(found: FoundModel, shared: ModelSettings): ModelConfig {
  const { name, version, source, config } = found
  const base = { name, version, source }
  if (config.fault) return resolveModel(base, shared, config)
  const model = { ...layered(config.settings, shared), ...base }
  const problems: string[] = []
  spec(model, '', problems)
  if (problems.length === 0) contradictions(model, {}, '', problems)
  if (problems.length === 0) return resolveModel(model, {}, config)
  const fault = new ModelmountError('CONFIG_INVALID', `the model's files ask for what cannot be: ${problems.join('; ')}`, {
    details: { problems },
  })
  return resolveModel(base, shared, { ...config, fault })
}

/** Checks the per-call options of `predict()`. */
export const checkPredictOptions: (options: unknown) => void = (() => {
  const check = object({
    version: expect('a string', (value) => typeof value === 'string'),
    label: expect('a string', (value) => typeof value === 'string'),
    id: expect('a string', (value) => typeof value === 'string'),
    signal: expect('an AbortSignal', (value) => value instanceof AbortSignal),
    timeoutMs: positiveMs,
    outputs: list(expect('a string', (value) => typeof value === 'string')),
    batch: boolean,
    priority,
    cache: boolean,
    sequence: object(
      {
        id: expect(
          'a whole number from 1 to 2^64 - 1, or a string of 1 to 256 characters',
          (id) =>
            (typeof id === 'string' && id.length > 0 && id.length <= 256) ||
            (Number.isSafeInteger(id) && (id as number) > 0) ||
            (typeof id === 'bigint' && id > 0n && id < 2n ** 64n),
        ),
        start: boolean,
        end: boolean,
      },
      ['id'],
    ),
    // An empty one is more likely a missing id, and would share results among all who have none.
    tenant: expect(
      'a string of 1 to 256 characters',
      (value) => typeof value === 'string' && value.length > 0 && value.length <= 256,
    ),
  })
  return (options) => {
    const problems: string[] = []
    check(options, 'opts', problems)
    const { version, label } = (options ?? {}) as PredictOptions
    if (version !== undefined && label !== undefined) problems.push('opts.version and opts.label exclude each other')
    refuse(problems)
  }
})()

/** Checks what `setVersionLabel()` is told. */
export function checkVersionLabel(label: unknown, version: unknown): void {
  const problems: string[] = []
  modelName(label, 'label', problems)
  if (version !== undefined) modelName(version, 'version', problems)
  refuse(problems)
}

// ---------------------------------------------------------------- mounts

/** What one mount answers, with every setting decided. */
export interface MountConfig {
  readonly dialects: readonly HttpDialect[]
  readonly management: boolean
  readonly allowPriority: boolean
  readonly serverTiming: boolean
  readonly metrics: boolean
  readonly openapi: boolean
  readonly mlflow: { readonly model: string; readonly version?: string } | undefined
}

const MOUNT: Readonly<Record<keyof MountOptions, Check>> = {
  dialects: list(oneOf('open-inference', 'tf-serving', 'mlflow')),
  management: boolean,
  allowPriority: boolean,
  serverTiming: boolean,
  metrics: boolean,
  openapi: boolean,
  mlflow: object({ model: modelName, version: modelName }, ['model']),
}
const mountOptions: Check = object(MOUNT)

const openApiOptions: Check = object({
  ...MOUNT,
  prefix: expect(
    'a path that begins with a slash and does not end with one',
    (value) => typeof value === 'string' && /^(\/[^/?#]+)*$/.test(value),
  ),
  title: text,
  version: text,
})

/**
 * Checks the options of `server.openapi()`.
 * @throws ModelmountError `OPTIONS_INVALID` with `details.problems`
 */
export function resolveOpenApi({ prefix, title, version, ...mount }: OpenApiOptions): {
  readonly mount: MountConfig
  readonly about: Pick<OpenApiOptions, 'prefix' | 'title' | 'version'>
} {
  const problems: string[] = []
  openApiOptions({ ...mount, prefix, title, version }, '', problems)
  refuse(problems)
  return { mount: resolveMount(mount), about: { prefix, title, version } }
}

/**
 * Checks the options of `server.http.mount()`.
 * @throws ModelmountError `OPTIONS_INVALID` with `details.problems`
 */
export function resolveMount(options: MountOptions = {}): MountConfig {
  const problems: string[] = []
  mountOptions(options, '', problems)
  refuse(problems)
  const {
    dialects = ['open-inference'],
    management = false,
    allowPriority = false,
    serverTiming = false,
    metrics = false,
    openapi = true,
    mlflow,
  } = options
  for (const [index, dialect] of dialects.entries())
    if (dialects.indexOf(dialect) < index) problems.push(`dialects[${index}] is a second '${dialect}'`)
  if (management && !dialects.includes('open-inference'))
    problems.push("management needs 'open-inference' among the dialects: its routes are below /v2")
  if (mlflow && !dialects.includes('mlflow')) problems.push("mlflow needs 'mlflow' among the dialects")
  refuse(problems)
  return Object.freeze({ dialects: [...new Set(dialects)], management, allowPriority, serverTiming, metrics, openapi, mlflow })
}

/** Checks the per-call options of `load()`. */
export function checkLoadOptions(options: unknown): void {
  const problems: string[] = []
  if (options !== undefined) object({ replace: boolean })(options, 'opts', problems)
  refuse(problems)
}

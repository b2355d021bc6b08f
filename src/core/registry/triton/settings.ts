/**
 * Converts Triton's ModelConfig into settings. A part that cannot be honoured as written becomes a note; one that would change the
 * served model, an error.
 */

import type { ExecutionProvider, SessionOptions } from '../../engine/types.ts'
import type { ModelSettings, ModelSpec, ValueSettings } from '../../model/types.ts'
import type { Priority } from '../../scheduler/types.ts'
import type { FileConfig, WarmupInput, WarmupSample } from '../found.ts'
import type { VersionPolicy } from '../types.ts'
import { sequencesOf } from './sequences.ts'
import { invalid, type Json, type Note, number, numbers, object, objects, string, TYPES, unsupported } from './values.ts'

/** Memory for cached results if `response_cache` asks for them without a size. */
const CACHE_BYTES = 64 * 1024 * 1024
const MAX_WARMUP_RUNS = 1000
/** Most rows of one run. */
const MAX_RUN_ROWS = 1024
const MAX_DELAY_MS = 10_000

/**
 * @param config as `modelConfigOf` reads it
 * @param name of the model's directory
 * @throws ModelmountError `CONFIG_INVALID`, `MODEL_UNSUPPORTED`
 */
export function settingsOf(config: Json, name: string, note: Note): FileConfig {
  refuseOthers(config, name)
  const maxBatch = number(config.max_batch_size)
  if (maxBatch < 0) throw invalid('max_batch_size', `max_batch_size must not be negative, got ${maxBatch}`)
  const isBatched = maxBatch > 0
  const inputs = objects(config.input)
  const outputs = objects(config.output)
  for (const [i, input] of inputs.entries()) noteInput(input, `input[${i}]`, note)
  noteRest(config, note)
  const policy = versionPolicyOf(object(config.version_policy))
  const file = string(config.default_model_filename)
  if (/[/\\]/.test(file) || file === '..')
    throw invalid(
      'default_model_filename',
      `default_model_filename must be the name of a file in the version directory, got ${JSON.stringify(file)}`,
    )
  // Without max_batch_size and tensors, the graph decides.
  const isSilent = config.max_batch_size === undefined && inputs.length + outputs.length === 0
  return {
    settings: {
      ...(isBatched ? { maxBatch } : {}),
      ...(inputs.length > 0 ? { inputs: valuesOf(inputs, 'input', isBatched) } : {}),
      ...(outputs.length > 0 ? { outputs: valuesOf(outputs, 'output', isBatched) } : {}),
      ...(isSilent ? {} : { batching: batchingOf(config, maxBatch, note) }),
      ...sequencesOf(config, outputs, isBatched, note),
      ...queueOf(object(config.dynamic_batching), note),
      ...instancesOf(objects(config.instance_group), object(config.optimization), note),
      ...(object(config.response_cache).enable === true ? { cache: { maxBytes: CACHE_BYTES } } : {}),
      ...sessionOf(object(config.parameters), object(config.optimization), note),
      ...metadataOf(object(config.parameters)),
    },
    // Triton's own default.
    versionPolicy: policy ?? { latest: 1 },
    ...(file ? { file } : {}),
    labelFiles: Object.fromEntries(
      outputs.flatMap((output) => (string(output.label_filename) ? [[string(output.name), string(output.label_filename)]] : [])),
    ),
    warmup: objects(config.model_warmup).map((sample, i) => warmupOf(sample, `model_warmup[${i}]`, isBatched, note)),
  }
}

/** Configurations of other formats, or of a model that would not be the intended one. */
function refuseOthers(config: Json, name: string): void {
  const stated = string(config.name)
  if (stated && stated !== name)
    throw invalid('name', `name is ${JSON.stringify(stated)}, but the model's directory is ${JSON.stringify(name)}`)
  const platform = string(config.platform)
  const backend = string(config.backend)
  if (platform === 'ensemble' || config.ensemble_scheduling !== undefined)
    throw unsupported('ensemble_scheduling', 'an ensemble has no model of its own; only ONNX models are served')
  if (platform && platform !== 'onnxruntime_onnx')
    throw unsupported('platform', `platform ${JSON.stringify(platform)} is not onnxruntime_onnx`)
  if (backend && backend !== 'onnxruntime') throw unsupported('backend', `backend ${JSON.stringify(backend)} is not onnxruntime`)
  // An agent checks or decrypts the files: serving them without it would be less than the file asks for.
  if (objects(object(config.model_repository_agents).agents).length > 0)
    throw unsupported('model_repository_agents', 'model_repository_agents are not run, and the model is not served without them')
}

function versionPolicyOf({ latest, all, specific }: Json): VersionPolicy | undefined {
  if (all !== undefined) return 'all'
  if (specific !== undefined) return { specific: [object(specific).versions ?? []].flat().map(String) }
  return latest === undefined ? undefined : { latest: Math.max(1, number(object(latest).num_versions)) }
}

// ---------------------------------------------------------------- tensors

function valuesOf(values: readonly Json[], kind: 'input' | 'output', isBatched: boolean): Record<string, ValueSettings> {
  const settings = new Map<string, ValueSettings>()
  for (const [i, value] of values.entries()) {
    const path = `${kind}[${i}]`
    const name = string(value.name)
    if (!name) throw invalid(`${path}.name`, `${path} has no name`)
    if (settings.has(name)) throw invalid(path, `${path} is a second ${kind} ${JSON.stringify(name)}`)
    const rows = isBatched ? [-1] : []
    const dims = value.dims === undefined ? undefined : [...rows, ...numbers(value.dims)]
    const shape = object(value.reshape).shape
    if (value.reshape !== undefined && !dims) throw invalid(`${path}.reshape`, `${path} has a reshape, but no dims`)
    const type = TYPES[string(value.data_type)]
    settings.set(name, {
      ...(type ? { type } : {}),
      ...(dims ? { dims: sizes(dims, `${path}.dims`) } : {}),
      ...(value.reshape === undefined ? {} : { reshape: sizes([...rows, ...numbers(shape)], `${path}.reshape.shape`) }),
      ...(kind === 'input' && value.optional === true ? { optional: true } : {}),
    })
  }
  return Object.fromEntries(settings)
}

function sizes(dims: readonly number[], field: string): readonly number[] {
  const wrong = dims.find((dim) => !Number.isInteger(dim) || dim < -1 || dim === 0 || dim > 2 ** 32 - 1)
  if (wrong !== undefined) throw invalid(field, `${field} must be sizes of 1 or more, or -1 for any, got ${wrong}`)
  return dims
}

function noteInput(input: Json, path: string, note: Note): void {
  if (input.format !== undefined && input.format !== 'FORMAT_NONE' && input.format !== 0)
    note(`${path}.format`, 'the layout is not used: requests send what the graph takes')
  if (input.allow_ragged_batch === true) note(`${path}.allow_ragged_batch`, 'requests of different shapes do not share a run')
  if (input.is_shape_tensor === true) note(`${path}.is_shape_tensor`, 'the input is served as any other')
}

// ---------------------------------------------------------------- batching and queue

function batchingOf(config: Json, maxBatch: number, note: Note): ModelSettings['batching'] {
  const dynamic = config.dynamic_batching === undefined ? undefined : object(config.dynamic_batching)
  if (maxBatch === 0) {
    if (dynamic) note('dynamic_batching', 'max_batch_size is 0, so requests do not share runs')
    return false
  }
  for (const size of numbers(dynamic?.preferred_batch_size)) {
    if (!(size > 0 && size <= maxBatch))
      throw invalid(
        'dynamic_batching.preferred_batch_size',
        `a preferred_batch_size must be from 1 to max_batch_size (${maxBatch}), got ${size}`,
      )
  }
  if (dynamic?.preferred_batch_size !== undefined)
    note('dynamic_batching.preferred_batch_size', 'sizes follow what was measured at warm-up, up to max_batch_size')
  if (dynamic?.preserve_ordering === true)
    note('dynamic_batching.preserve_ordering', 'each request is answered as soon as its result is there')
  if (maxBatch === 1) return false
  const delayMs = number(dynamic?.max_queue_delay_microseconds) / 1000
  if (delayMs > MAX_DELAY_MS)
    note('dynamic_batching.max_queue_delay_microseconds', `a request waits for others for ${MAX_DELAY_MS} ms at most`)
  if (maxBatch > MAX_RUN_ROWS)
    note('max_batch_size', `a run has ${MAX_RUN_ROWS} rows at most; larger requests are answered by several runs`)
  return { maxSize: Math.min(maxBatch, MAX_RUN_ROWS), ...(delayMs > 0 ? { maxDelayMs: Math.min(delayMs, MAX_DELAY_MS) } : {}) }
}

const PRIORITIES: readonly Priority[] = ['high', 'normal', 'low']

/** Triton's priority 1 is the highest of `levels`; this server has three. */
export function priorityOf(level: number, levels: number): Priority {
  if (levels <= 1) return 'normal'
  return PRIORITIES[Math.min(2, Math.floor(((level - 1) * 3) / levels))] ?? 'normal'
}

function queueOf(dynamic: Json, note: Note): ModelSettings {
  const levels = number(dynamic.priority_levels)
  const level = number(dynamic.default_priority_level)
  if (levels > 0 && !(level >= 1 && level <= levels))
    throw invalid(
      'dynamic_batching.default_priority_level',
      `default_priority_level must be from 1 to priority_levels (${levels}), got ${level}`,
    )
  if (levels > 1)
    note(
      'dynamic_batching.priority_levels',
      `${levels} levels are served as high, normal and low, with shares of 8 to 3 to 1 instead of one before the other`,
    )
  if (dynamic.priority_queue_policy !== undefined)
    note('dynamic_batching.priority_queue_policy', 'one queue policy holds for all levels, default_queue_policy')
  const policy = object(dynamic.default_queue_policy)
  if (policy.timeout_action === 'DELAY')
    note('dynamic_batching.default_queue_policy.timeout_action', 'late requests are refused, not moved back')
  const timeoutMs = number(policy.default_timeout_microseconds) / 1000
  const size = number(policy.max_queue_size)
  return {
    ...(timeoutMs > 0 ? { maxWaitMs: timeoutMs } : {}),
    ...(size > 0 ? { maxQueue: Math.min(size, 10_000_000) } : {}),
    ...(levels > 0 ? { priority: priorityOf(level, levels) } : {}),
  }
}

// ---------------------------------------------------------------- instances and session

const GROUP_FIELDS: Readonly<Record<string, string>> = {
  rate_limiter: 'instances are bounded by the CPUs for models and by memory.budgetBytes',
  secondary_devices: 'a model runs on one device',
  profile: 'profiles belong to TensorRT',
  host_policy: 'host policies are not supported',
}

function instancesOf(groups: readonly Json[], optimization: Json, note: Note): ModelSettings {
  const providers = acceleratorsOf(object(optimization.execution_accelerators), note)
  if (groups.length === 0) return providers.length > 0 ? { executionProviders: [...providers, 'cpu'] } : {}
  let count = 0
  const gpus: number[] = []
  let onGpu = false
  for (const [i, group] of groups.entries()) {
    const path = `instance_group[${i}]`
    if (group.passive === true) {
      note(`${path}.passive`, 'passive instances are not started')
      continue
    }
    const copies = Math.max(1, number(group.count))
    const devices = numbers(group.gpus)
    count += copies * Math.max(1, devices.length)
    gpus.push(...devices)
    onGpu ||= group.kind === 'KIND_GPU' || (devices.length > 0 && group.kind !== 'KIND_CPU')
    for (const [field, reason] of Object.entries(GROUP_FIELDS)) {
      if (Object.hasOwn(group, field)) note(`${path}.${field}`, reason)
    }
  }
  if (count === 0) return {}
  if (count > 256) note('instance_group', `256 instances are the most, not ${count}`)
  if (new Set(gpus).size > 1) note('instance_group', `all instances run on GPU ${gpus[0]}`)
  if (onGpu && groups.some((group) => group.kind === 'KIND_CPU')) note('instance_group', 'all instances run on the GPU')
  const [deviceId] = gpus
  const cuda: ExecutionProvider[] = onGpu ? [deviceId === undefined ? 'cuda' : { name: 'cuda', deviceId }] : []
  const executionProviders: ExecutionProvider[] = [...providers, ...cuda, 'cpu']
  return { instances: Math.min(count, 256), ...(executionProviders.length > 1 ? { executionProviders } : {}) }
}

function acceleratorsOf(accelerators: Json, note: Note): ExecutionProvider[] {
  const providers: ExecutionProvider[] = []
  for (const kind of ['gpu_execution_accelerator', 'cpu_execution_accelerator']) {
    for (const [i, accelerator] of objects(accelerators[kind]).entries()) {
      const path = `optimization.execution_accelerators.${kind}[${i}]`
      const name = string(accelerator.name)
      if (name === 'tensorrt') providers.push('tensorrt')
      else note(path, `the execution provider ${JSON.stringify(name)} is not available`)
      if (Object.keys(object(accelerator.parameters)).length > 0) note(`${path}.parameters`, 'providers run with their defaults')
    }
  }
  return providers
}

/** Levels of `optimization.graph`: below ONNX Runtime's full set. */
const GRAPH_LEVELS: Readonly<Record<number, SessionOptions['graphOptimizationLevel']>> = { [-1]: 'basic', 1: 'extended' }

const threads = (text: string): number | undefined =>
  /^[1-9]\d{0,3}$/.test(text) && Number(text) <= 1024 ? Number(text) : undefined
const flag = (text: string): boolean | undefined => (text === '1' ? true : text === '0' ? false : undefined)

/** Parameters that Triton's ONNX Runtime backend reads, and its session entries. */
const PARAMETERS: Readonly<Record<string, (text: string) => SessionOptions | undefined>> = {
  intra_op_thread_count: (text) => (text === '0' ? {} : given('intraOpNumThreads', threads(text))),
  inter_op_thread_count: (text) => (text === '0' ? {} : given('interOpNumThreads', threads(text))),
  execution_mode: (text) => given('executionMode', text === '1' ? 'parallel' : text === '0' ? 'sequential' : undefined),
  enable_mem_arena: (text) => given('enableCpuMemArena', flag(text)),
  enable_mem_pattern: (text) => given('enableMemPattern', flag(text)),
  'session.disable_prepacking': (text) => given('disablePrepacking', flag(text)),
  'session.set_denormal_as_zero': (text) => given('denormalAsZero', flag(text)),
  'session.intra_op.allow_spinning': (text) => given('allowSpinning', flag(text)),
}

const given = <K extends keyof SessionOptions>(key: K, value: SessionOptions[K]): SessionOptions | undefined =>
  value === undefined ? undefined : { [key]: value }

function sessionOf(parameters: Json, optimization: Json, note: Note): ModelSettings {
  const session: SessionOptions[] = []
  for (const [key, value] of Object.entries(parameters)) {
    const path = `parameters[${JSON.stringify(key)}]`
    const text = string(object(value).string_value)
    const read = Object.hasOwn(PARAMETERS, key) ? PARAMETERS[key] : undefined
    if (!read) {
      note(path, "it is kept in the model's metadata and has no other effect")
      continue
    }
    const option = read(text)
    if (!option) throw invalid(path, `${path} cannot be ${JSON.stringify(text.slice(0, 60))}`)
    session.push(option)
  }
  const level = object(optimization.graph).level
  if (level !== undefined && level !== 0) {
    const graphOptimizationLevel = GRAPH_LEVELS[number(level)]
    if (graphOptimizationLevel) session.push({ graphOptimizationLevel })
    else note('optimization.graph.level', 'levels are -1, 0 and 1')
  }
  return session.length === 0 ? {} : { session: Object.assign({}, ...session) }
}

const metadataOf = (parameters: Json): Pick<ModelSpec, 'metadata'> => {
  const entries = Object.entries(parameters).map(([key, value]) => [key, string(object(value).string_value)])
  return entries.length > 0 ? { metadata: Object.fromEntries(entries) } : {}
}

// ---------------------------------------------------------------- warm-up

function warmupOf(sample: Json, path: string, isBatched: boolean, note: Note): WarmupSample {
  const rows = isBatched ? [Math.max(1, number(sample.batch_size))] : []
  if (!isBatched && number(sample.batch_size) > 1)
    throw invalid(`${path}.batch_size`, `${path}.batch_size is ${number(sample.batch_size)}, but max_batch_size is 0`)
  const inputs = new Map<string, WarmupInput>()
  for (const [name, value] of Object.entries(object(sample.inputs))) {
    const input = object(value)
    const at = `${path}.inputs[${JSON.stringify(name)}]`
    const type = TYPES[string(input.data_type)]
    if (!type) throw invalid(`${at}.data_type`, `${at}.data_type must be given, and not TYPE_BF16`)
    const dims = [...rows, ...numbers(input.dims)]
    if (!dims.every((dim) => Number.isInteger(dim) && dim >= 0))
      throw invalid(`${at}.dims`, `${at}.dims must be sizes, got [${dims}]`)
    const file = string(input.input_data_file)
    inputs.set(name, { type, dims, fill: file ? { file } : input.random_data === true ? 'random' : 'zero' })
  }
  const repeats = Math.max(1, number(sample.count))
  if (repeats > MAX_WARMUP_RUNS) note(`${path}.count`, `a sample is run ${MAX_WARMUP_RUNS} times at most`)
  return { name: string(sample.name), repeats: Math.min(repeats, MAX_WARMUP_RUNS), inputs: Object.fromEntries(inputs) }
}

// ---------------------------------------------------------------- the rest

const NEVER: Readonly<Record<string, string>> = {
  runtime: 'ONNX Runtime is the only runtime',
  batch_input: 'inputs made from the batch are not filled in; requests have to carry them',
  batch_output: 'outputs are split by their rows',
  cc_model_filenames: 'there is one model file per version',
  metric_tags: 'they are not labels of the metrics',
  model_metrics: 'metrics are the same for all models',
}

function noteRest(config: Json, note: Note): void {
  for (const [field, reason] of Object.entries(NEVER)) if (Object.hasOwn(config, field)) note(field, reason)
  if (object(config.model_transaction_policy).decoupled === true)
    note('model_transaction_policy.decoupled', 'an ONNX model answers a request once')
  if (Array.isArray(object(config.model_operations).op_library_filename))
    note('model_operations.op_library_filename', 'libraries of operators are not loaded')
  const optimization = object(config.optimization)
  if (optimization.priority !== undefined && optimization.priority !== 'PRIORITY_DEFAULT')
    note('optimization.priority', 'it is a setting of CUDA streams that ONNX Runtime does not have; see niceness')
  for (const [field, reason] of Object.entries(OPTIMIZATIONS)) {
    if (Object.hasOwn(optimization, field)) note(`optimization.${field}`, reason)
  }
}

const OPTIMIZATIONS: Readonly<Record<string, string>> = {
  cuda: 'CUDA graphs are not used',
  input_pinned_memory: 'ONNX Runtime decides on pinned memory',
  output_pinned_memory: 'ONNX Runtime decides on pinned memory',
  gather_kernel_buffer_threshold: 'rows are joined on the CPU',
  eager_batching: 'rows are joined when an instance is free',
}

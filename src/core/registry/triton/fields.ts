/**
 * Triton's ModelConfig message: its fields and their kinds. Text becomes JSON with the same names.
 * https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto
 */

import type { JsonValue } from '../../dialects/types.ts'
import { ModelmountError } from '../../errors.ts'
import type { TextMessage, TextValue } from './text-proto.ts'

type Scalar = 'string' | 'bool' | 'int32' | 'uint32' | 'int64' | 'uint64' | 'double'

/** Kind of a field's value; `any` for parts that have no reader here. */
type Kind =
  | Scalar
  | 'any'
  | { readonly names: readonly string[] }
  | { readonly message: Fields }
  | { readonly list: Kind }
  | { readonly map: Kind }

/** A group in `oneOf` may have one member set. */
interface Fields {
  readonly fields: Readonly<Record<string, Kind>>
  readonly oneOf?: readonly (readonly string[])[]
}

const list = (of: Kind): Kind => ({ list: of })
const map = (of: Kind): Kind => ({ map: of })
const message = (fields: Readonly<Record<string, Kind>>, ...oneOf: readonly (readonly string[])[]): Kind => ({
  message: { fields, oneOf },
})

const DATA_TYPE: Kind = {
  names: [
    ...['INVALID', 'BOOL', 'UINT8', 'UINT16', 'UINT32', 'UINT64', 'INT8', 'INT16', 'INT32', 'INT64'],
    ...['FP16', 'FP32', 'FP64', 'STRING', 'BF16'],
  ].map((name) => `TYPE_${name}`),
}
const SHAPE = message({ shape: list('int64') })
const ENABLE = message({ enable: 'bool' })
const QUEUE_POLICY = message({
  timeout_action: { names: ['REJECT', 'DELAY'] },
  default_timeout_microseconds: 'uint64',
  allow_timeout_override: 'bool',
  max_queue_size: 'uint32',
})
const ACCELERATOR = message({ name: 'string', parameters: map('string') })

const INPUT = message({
  name: 'string',
  data_type: DATA_TYPE,
  format: { names: ['FORMAT_NONE', 'FORMAT_NHWC', 'FORMAT_NCHW'] },
  dims: list('int64'),
  reshape: SHAPE,
  is_shape_tensor: 'bool',
  allow_ragged_batch: 'bool',
  optional: 'bool',
  is_non_linear_format_io: 'bool',
})

const OUTPUT = message({
  name: 'string',
  data_type: DATA_TYPE,
  dims: list('int64'),
  reshape: SHAPE,
  label_filename: 'string',
  is_shape_tensor: 'bool',
  is_non_linear_format_io: 'bool',
})

const VERSION_POLICY = message(
  { latest: message({ num_versions: 'uint32' }), all: message({}), specific: message({ versions: list('int64') }) },
  ['latest', 'all', 'specific'],
)

const OPTIMIZATION = message({
  graph: message({ level: 'int32' }),
  priority: { names: ['PRIORITY_DEFAULT', 'PRIORITY_MAX', 'PRIORITY_MIN'] },
  cuda: 'any',
  execution_accelerators: message({
    gpu_execution_accelerator: list(ACCELERATOR),
    cpu_execution_accelerator: list(ACCELERATOR),
  }),
  input_pinned_memory: ENABLE,
  output_pinned_memory: ENABLE,
  gather_kernel_buffer_threshold: 'uint32',
  eager_batching: 'bool',
})

const DYNAMIC_BATCHING = message({
  preferred_batch_size: list('int32'),
  max_queue_delay_microseconds: 'uint64',
  preserve_ordering: 'bool',
  priority_levels: 'uint64',
  default_priority_level: 'uint64',
  default_queue_policy: QUEUE_POLICY,
  priority_queue_policy: map(QUEUE_POLICY),
})

const SEQUENCE_BATCHING = message(
  {
    direct: message({ max_queue_delay_microseconds: 'uint64', minimum_slot_utilization: 'double' }),
    oldest: message({
      max_candidate_sequences: 'int32',
      preferred_batch_size: list('int32'),
      max_queue_delay_microseconds: 'uint64',
      preserve_ordering: 'bool',
    }),
    max_sequence_idle_microseconds: 'uint64',
    control_input: list(
      message({
        name: 'string',
        control: list(
          message({
            kind: {
              names: ['START', 'READY', 'END', 'CORRID'].map((name) => `CONTROL_SEQUENCE_${name}`),
            },
            int32_false_true: list('int32'),
            fp32_false_true: list('double'),
            bool_false_true: list('bool'),
            data_type: DATA_TYPE,
          }),
        ),
      }),
    ),
    state: list(
      message({
        input_name: 'string',
        output_name: 'string',
        data_type: DATA_TYPE,
        dims: list('int64'),
        initial_state: list(
          message({ data_type: DATA_TYPE, dims: list('int64'), zero_data: 'bool', data_file: 'string', name: 'string' }, [
            'zero_data',
            'data_file',
          ]),
        ),
        use_same_buffer_for_input_output: 'bool',
        use_growable_memory: 'bool',
      }),
    ),
    generative_sequence: 'bool',
    iterative_sequence: 'bool',
  },
  ['direct', 'oldest'],
)

const INSTANCE_GROUP = message({
  name: 'string',
  kind: { names: ['KIND_AUTO', 'KIND_GPU', 'KIND_CPU', 'KIND_MODEL'] },
  count: 'int32',
  rate_limiter: 'any',
  gpus: list('int32'),
  secondary_devices: list('any'),
  profile: list('string'),
  passive: 'bool',
  host_policy: 'string',
})

const WARMUP = message({
  name: 'string',
  batch_size: 'uint32',
  inputs: map(
    message({ data_type: DATA_TYPE, dims: list('int64'), zero_data: 'bool', random_data: 'bool', input_data_file: 'string' }, [
      'zero_data',
      'random_data',
      'input_data_file',
    ]),
  ),
  count: 'uint32',
})

const MODEL_CONFIG: Fields = {
  fields: {
    name: 'string',
    platform: 'string',
    backend: 'string',
    runtime: 'string',
    version_policy: VERSION_POLICY,
    max_batch_size: 'int32',
    input: list(INPUT),
    output: list(OUTPUT),
    batch_input: list('any'),
    batch_output: list('any'),
    optimization: OPTIMIZATION,
    dynamic_batching: DYNAMIC_BATCHING,
    sequence_batching: SEQUENCE_BATCHING,
    ensemble_scheduling: 'any',
    instance_group: list(INSTANCE_GROUP),
    default_model_filename: 'string',
    cc_model_filenames: map('string'),
    metric_tags: map('string'),
    parameters: map(message({ string_value: 'string' })),
    model_warmup: list(WARMUP),
    model_operations: message({ op_library_filename: list('string') }),
    model_transaction_policy: message({ decoupled: 'bool' }),
    model_repository_agents: message({ agents: list(ACCELERATOR) }),
    response_cache: ENABLE,
    model_metrics: 'any',
  },
  oneOf: [['dynamic_batching', 'sequence_batching', 'ensemble_scheduling']],
}

type Json = { [field: string]: JsonValue }

/**
 * @param label name of the text in errors
 * @param unknown called with unknown fields
 * @throws ModelmountError `CONFIG_INVALID` for a value of another kind, and for a single-valued field given twice
 */
export function modelConfigOf(text: TextMessage, label: string, unknown: (path: string) => void): Json {
  function wrong(path: string, line: number, expected: string, got: string): never {
    throw new ModelmountError('CONFIG_INVALID', `${label}, line ${line}: ${path} must be ${expected}, got ${got}`, {
      details: { field: path, expected, got },
    })
  }

  function messageOf({ fields: values, line }: TextMessage, { fields, oneOf = [] }: Fields, path: string): Json {
    const json: Json = {}
    for (const [name, given] of values) {
      const at = path === '' ? name : `${path}.${name}`
      const kind = Object.hasOwn(fields, name) ? fields[name] : undefined
      if (kind === undefined) unknown(at)
      else json[name] = fieldOf(given, kind, at, line)
    }
    for (const group of oneOf) {
      const set = group.filter((name) => Object.hasOwn(json, name))
      if (set.length > 1) wrong(path || label, line, `one of ${group.join(', ')}`, set.join(' and '))
    }
    return json
  }

  function fieldOf(values: readonly TextValue[], kind: Kind, path: string, line: number): JsonValue {
    if (typeof kind === 'object' && 'list' in kind) return values.map((value, i) => readValue(value, kind.list, `${path}[${i}]`))
    if (typeof kind === 'object' && 'map' in kind) return mapOf(values, kind.map, path)
    const [value, second] = values
    if (kind === 'any') return values.length === 1 && value ? anyOf(value) : values.map(anyOf)
    if (!value || second) return wrong(path, second?.line ?? line, 'given once', `${values.length} values`)
    return readValue(value, kind, path)
  }

  /** Entries are messages of `key` and `value`; the last of equal keys counts, as in protobuf. */
  function mapOf(values: readonly TextValue[], kind: Kind, path: string): JsonValue {
    const json = new Map<string, JsonValue>()
    for (const [i, entry] of values.entries()) {
      const at = `${path}[${i}]`
      if (entry.kind !== 'message') wrong(at, entry.line, '{ key: …, value: … }', JSON.stringify(entry.text))
      const [key] = entry.message.fields.get('key') ?? []
      if (key?.kind === 'message') wrong(`${at}.key`, key.line, 'text or a number', 'a message')
      const value = entry.message.fields.get('value') ?? []
      const name = key?.text ?? ''
      json.set(name, value.length > 0 ? fieldOf(value, kind, `${path}[${JSON.stringify(name)}]`, entry.line) : empty(kind))
    }
    return Object.fromEntries(json)
  }

  function readValue(value: TextValue, kind: Kind, path: string): JsonValue {
    if (typeof kind === 'object') {
      if ('names' in kind) return enumOf(value, kind.names, path)
      if ('message' in kind) {
        if (value.kind !== 'message') return wrong(path, value.line, 'a message { … }', JSON.stringify(value.text))
        return messageOf(value.message, kind.message, path)
      }
      return fieldOf([value], kind, path, value.line)
    }
    if (kind === 'any') return anyOf(value)
    if (kind === 'string') return value.kind === 'string' ? value.text : wrong(path, value.line, 'text in quotes', shown(value))
    const read = value.kind === 'word' ? READERS[kind](value.text) : undefined
    return read ?? wrong(path, value.line, EXPECTED[kind], shown(value))
  }

  function enumOf(value: TextValue, names: readonly string[], path: string): JsonValue {
    const text = value.kind === 'word' ? value.text : ''
    const name = names.includes(text) ? text : /^\d+$/.test(text) ? names[Number(text)] : undefined
    return name ?? wrong(path, value.line, `one of ${names.join(', ')}`, shown(value))
  }

  return messageOf(text, MODEL_CONFIG, '')
}

const shown = (value: TextValue): string =>
  value.kind === 'message'
    ? 'a message'
    : value.kind === 'string'
      ? JSON.stringify(value.text.slice(0, 60))
      : value.text.slice(0, 60)

const empty = (kind: Kind): JsonValue => (kind === 'string' ? '' : {})

/** A value known only by its spelling. */
function anyOf(value: TextValue): JsonValue {
  if (value.kind === 'string') return value.text
  if (value.kind === 'word')
    return READERS.bool(/^\d+$/.test(value.text) ? '' : value.text) ?? READERS.double(value.text) ?? value.text
  return Object.fromEntries(
    [...value.message.fields].map(([name, [first, ...more]]) => [
      name,
      first && more.length === 0 ? anyOf(first) : first ? [first, ...more].map(anyOf) : [],
    ]),
  )
}

const INTEGER = /^(-?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)$/

function integer(min: bigint, max: bigint): (text: string) => JsonValue | undefined {
  return (text) => {
    const [, sign, digits = ''] = INTEGER.exec(text) ?? []
    if (sign === undefined) return undefined
    const size = BigInt(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits)
    const value = sign === '-' ? -size : size
    if (value < min || value > max) return undefined
    // Stays text beyond the numbers that JSON keeps exactly.
    return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  }
}

const TRUTH = new Map(
  Object.entries({ true: true, True: true, t: true, 1: true, false: false, False: false, f: false, 0: false }),
)
const SPECIAL = /^(-?)(inf|infinity|nan)f?$/i

const READERS: Readonly<Record<Exclude<Scalar, 'string'>, (text: string) => JsonValue | undefined>> = {
  bool: (text) => TRUTH.get(text),
  int32: integer(-(2n ** 31n), 2n ** 31n - 1n),
  uint32: integer(0n, 2n ** 32n - 1n),
  int64: integer(-(2n ** 63n), 2n ** 63n - 1n),
  uint64: integer(0n, 2n ** 64n - 1n),
  double(text) {
    // JSON has no such numbers.
    if (SPECIAL.test(text)) return text
    const number = Number(text.replace(/^(.*\d\.?)f$/i, (whole, digits: string) => (/^-?0x/i.test(whole) ? whole : digits)))
    return Number.isFinite(number) ? number : undefined
  },
}

const EXPECTED: Readonly<Record<Exclude<Scalar, 'string'>, string>> = {
  bool: 'true or false',
  int32: 'an integer of 32 bits',
  uint32: 'an integer from 0 to 4294967295',
  int64: 'an integer of 64 bits',
  uint64: 'an integer of 64 bits, not negative',
  double: 'a number',
}

/** The result for each field of a config.pbtxt: a setting, a note, or a refusal. */

import { describe, expect, test } from 'vitest'
import { isModelmountError } from '../../../src/core/errors.ts'
import { modelConfigOf } from '../../../src/core/registry/triton/fields.ts'
import { priorityOf, settingsOf } from '../../../src/core/registry/triton/settings.ts'
import { parseTextProto } from '../../../src/core/registry/triton/text-proto.ts'

function read(text: string, name = 'm') {
  const notes: string[] = []
  const unknown: string[] = []
  const json = modelConfigOf(parseTextProto(text, 'config.pbtxt'), 'config.pbtxt', (field) => unknown.push(field))
  return { json, ...settingsOf(json, name, (field) => notes.push(field)), notes, unknown }
}

function refusal(text: string): string {
  try {
    read(text)
  } catch (error) {
    if (isModelmountError(error)) return `${error.code}: ${error.message}`
    throw error
  }
  return 'none'
}

const X = 'input { name: "x" data_type: TYPE_FP32 dims: 4 }'

describe('the JSON of a config has Triton’s names and kinds', () => {
  test('numbers, truth values, enums, lists, maps', () => {
    const { json, unknown } = read(`
      name: "m" max_batch_size: 8
      input [ { name: "x" data_type: TYPE_FP32 dims: [ -1, 0x10 ] optional: True }, { name: "y" data_type: 8 dims: 3 } ]
      parameters [ { key: "a" value: { string_value: "1" } }, { key: "__proto__" value { string_value: "2" } }, { key: "c" } ]
      parameters { key: "a", value { string_value: "3" } }
      model_metrics { metric_control [ { metric_identifier { family: "f" } histogram_options { buckets: [ 0.5, 1 ] } } ] }
      dynamic_batching { max_queue_delay_microseconds: 18446744073709551615 priority_queue_policy { key: 2 value { timeout_action: DELAY } } }
      from_the_future { a: 1 } version_policy { all { } }`)
    expect(unknown).toEqual(['from_the_future'])
    expect(JSON.parse(JSON.stringify(json))).toEqual({
      name: 'm',
      max_batch_size: 8,
      input: [
        { name: 'x', data_type: 'TYPE_FP32', dims: [-1, 16], optional: true },
        { name: 'y', data_type: 'TYPE_INT32', dims: [3] },
      ],
      parameters: JSON.parse('{"a":{"string_value":"3"},"__proto__":{"string_value":"2"},"c":{}}'),
      model_metrics: { metric_control: { metric_identifier: { family: 'f' }, histogram_options: { buckets: [0.5, 1] } } },
      dynamic_batching: {
        max_queue_delay_microseconds: '18446744073709551615',
        priority_queue_policy: { '2': { timeout_action: 'DELAY' } },
      },
      version_policy: { all: {} },
    })
  })

  test.each([
    ['max_batch_size: "8"', 'config.pbtxt, line 1: max_batch_size must be an integer of 32 bits, got "8"'],
    ['\nmax_batch_size: 1.5', 'line 2: max_batch_size must be an integer of 32 bits, got 1.5'],
    ['max_batch_size: 3000000000', 'must be an integer of 32 bits'],
    ['name: m', 'name must be text in quotes, got m'],
    ['name: "a" name: "b"', 'name must be given once, got 2 values'],
    ['name: ["a", "b"]', 'name must be given once, got 2 values'],
    ['max_batch_size: []', 'max_batch_size must be given once, got 0 values'],
    ['input: "x"', 'input[0] must be a message { … }, got "x"'],
    ['input { data_type: FP32 }', 'input[0].data_type must be one of TYPE_INVALID, TYPE_BOOL'],
    ['input { data_type: 99 }', 'input[0].data_type must be one of'],
    ['input { optional: yes }', 'input[0].optional must be true or false, got yes'],
    ['parameters: "a"', 'parameters[0] must be { key: …, value: … }'],
    ['parameters { key: "a" value: "b" }', 'parameters["a"] must be a message'],
    ['version_policy { all {} latest {} }', 'version_policy must be one of latest, all, specific, got latest and all'],
    ['dynamic_batching {} sequence_batching {}', 'one of dynamic_batching, sequence_batching, ensemble_scheduling'],
    ['dynamic_batching { max_queue_delay_microseconds: -1 }', 'must be an integer of 64 bits, not negative, got -1'],
  ])('%s', (text, sentence) => {
    expect(refusal(text)).toContain('CONFIG_INVALID')
    expect(refusal(text)).toContain(sentence)
  })

  test('an error has the field, what it must be and what it is', () => {
    expect(() => read('input { optional: yes }')).toThrow(
      expect.objectContaining({ details: { field: 'input[0].optional', expected: 'true or false', got: 'yes' } }),
    )
  })
})

describe('what is served', () => {
  test.each([
    ['name: "other"', 'CONFIG_INVALID: config.pbtxt: name is "other", but the model\'s directory is "m"'],
    [
      'platform: "tensorflow_savedmodel"',
      'MODEL_UNSUPPORTED: config.pbtxt: platform "tensorflow_savedmodel" is not onnxruntime_onnx',
    ],
    ['backend: "python"', 'MODEL_UNSUPPORTED: config.pbtxt: backend "python" is not onnxruntime'],
    ['platform: "ensemble"', 'MODEL_UNSUPPORTED: config.pbtxt: an ensemble'],
    ['ensemble_scheduling { step [] }', 'MODEL_UNSUPPORTED: config.pbtxt: an ensemble'],
    ['model_repository_agents { agents [ { name: "checksum" } ] }', 'MODEL_UNSUPPORTED'],
    ['default_model_filename: "../m.onnx"', 'CONFIG_INVALID: config.pbtxt: default_model_filename must be the name of a file'],
    ['max_batch_size: -1', 'max_batch_size must not be negative, got -1'],
    [`${X} ${X}`, 'input[1] is a second input "x"'],
    ['input { dims: 1 }', 'input[0] has no name'],
    ['input { name: "x" dims: [0] }', 'input[0].dims must be sizes of 1 or more, or -1 for any, got 0'],
    ['input { name: "x" reshape { shape: [] } }', 'input[0] has a reshape, but no dims'],
    [
      'max_batch_size: 4 dynamic_batching { preferred_batch_size: [ 2, 8 ] }',
      'a preferred_batch_size must be from 1 to max_batch_size (4), got 8',
    ],
    ['dynamic_batching { priority_levels: 2 }', 'default_priority_level must be from 1 to priority_levels (2), got 0'],
    ['model_warmup { inputs { key: "x" value { dims: 4 zero_data: true } } }', 'data_type must be given'],
    ['sequence_batching { state { input_name: "s" } }', 'sequence_batching.state[0] must have an input_name and an output_name'],
    [
      'sequence_batching { state { input_name: "s" output_name: "t" initial_state { data_file: "zeros" name: "z" } } }',
      'MODEL_UNSUPPORTED: config.pbtxt: sequence_batching.state[0].initial_state is a data_file',
    ],
    ['sequence_batching { control_input { name: "a" } }', 'sequence_batching.control_input[0] must have a name and a control'],
    [
      'sequence_batching { control_input { name: "a" control [ { kind: CONTROL_SEQUENCE_START }, { kind: CONTROL_SEQUENCE_END } ] } }',
      'has several controls',
    ],
    [
      'sequence_batching { state [ { input_name: "s" output_name: "t" }, { input_name: "s" output_name: "u" } ] }',
      'CONFIG_INVALID: config.pbtxt: sequence_batching.state[1] is a second state of the input "s"',
    ],
    ['sequence_batching { state { output_name: "t" } }', 'must have an input_name and an output_name'],
    ['sequence_batching { control_input { control { } } }', 'sequence_batching.control_input[0] must have a name and a control'],
    [
      'sequence_batching { control_input [ { name: "a" control { } }, { name: "a" control { } } ] }',
      'sequence_batching.control_input[1] is a second control of the input "a"',
    ],
    [
      'sequence_batching { control_input { name: "a" control { fp32_false_true: [ 0 ] } } }',
      'sequence_batching.control_input[0] must say what stands for no and for yes',
    ],
    ['model_warmup { batch_size: 2 }', 'batch_size is 2, but max_batch_size is 0'],
    ['parameters { key: "execution_mode" value { string_value: "2" } }', 'parameters["execution_mode"] cannot be "2"'],
  ])('%s is refused', (text, sentence) => {
    expect(refusal(text)).toContain(sentence)
  })

  test('a state whose size is not written has the graph’s', () => {
    const { settings } = read('sequence_batching { state { input_name: "s" output_name: "t" } }')
    expect(settings.sequences).toMatchObject({ state: { s: { output: 't' } } })
    expect(settings.sequences?.state?.s).not.toHaveProperty('dims')
  })

  test('a second output of a name is called one', () => {
    expect(refusal('output [ { name: "p" }, { name: "p" } ]')).toContain('output[1] is a second output "p"')
  })

  test('a config without a word on tensors and batches leaves them to the graph', () => {
    const { settings, versionPolicy } = read('platform: "onnxruntime_onnx" backend: "onnxruntime"')
    expect(settings).toEqual({})
    expect(versionPolicy).toEqual({ latest: 1 })
  })
})

describe('settings', () => {
  test.each<[string, object]>([
    ['max_batch_size: 0', { batching: false }],
    [X, { inputs: { x: { type: 'float32', dims: [4] } }, batching: false }],
    [`max_batch_size: 1 ${X}`, { maxBatch: 1, inputs: { x: { type: 'float32', dims: [-1, 4] } }, batching: false }],
    ['max_batch_size: 128', { maxBatch: 128, batching: { maxSize: 128 } }],
    [
      'max_batch_size: 8 output [ { name: "p" data_type: TYPE_INT64 dims: [ 2, 3 ] reshape { shape: [ 6 ] } } ]',
      { maxBatch: 8, batching: { maxSize: 8 }, outputs: { p: { type: 'int64', dims: [-1, 2, 3], reshape: [-1, 6] } } },
    ],
    [
      'max_batch_size: 8 input { name: "s" data_type: TYPE_STRING dims: 1 reshape: { shape: [ ] } optional: true }',
      { maxBatch: 8, batching: { maxSize: 8 }, inputs: { s: { type: 'string', dims: [-1, 1], reshape: [-1], optional: true } } },
    ],
    [
      'max_batch_size: 8 dynamic_batching { max_queue_delay_microseconds: 500 }',
      { maxBatch: 8, batching: { maxSize: 8, maxDelayMs: 0.5 } },
    ],
    ['max_batch_size: 8 sequence_batching { }', { maxBatch: 8, batching: { maxSize: 8 } }],
    [
      'max_batch_size: 8 output { name: "y" } sequence_batching { state { input_name: "s" output_name: "y" dims: [ 2, -1 ] } state { input_name: "t" output_name: "u" initial_state { data_type: TYPE_FP32 dims: [ 3 ] zero_data: true name: "z" } } }',
      {
        maxBatch: 8,
        batching: { maxSize: 8 },
        outputs: { y: {} },
        sequences: {
          state: { s: { output: 'y', returned: true, dims: [-1, 2, 1] }, t: { output: 'u', dims: [-1, 3] } },
          controls: {},
          idleTimeoutMs: 1000,
        },
      },
    ],
    [
      `sequence_batching {
        max_sequence_idle_microseconds: 5000000
        control_input [
          { name: "a" control { kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 2 ] } },
          { name: "b" control { kind: CONTROL_SEQUENCE_END bool_false_true: [ false, true ] } },
          { name: "c" control { kind: CONTROL_SEQUENCE_READY int32_false_true: [ 1, 0 ] } },
          { name: "d" control { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } }
        ]
      }`,
      {
        sequences: {
          state: {},
          controls: {
            a: { is: 'start', values: [0, 2] },
            b: { is: 'end', values: [0, 1] },
            c: { is: 'ready', values: [1, 0] },
            d: { is: 'id' },
          },
          idleTimeoutMs: 5000,
        },
      },
    ],
    [
      'max_batch_size: 8 dynamic_batching { default_queue_policy { default_timeout_microseconds: 20000 max_queue_size: 16 } }',
      { maxBatch: 8, batching: { maxSize: 8 }, maxWaitMs: 20, maxQueue: 16 },
    ],
    [
      'max_batch_size: 8 dynamic_batching { priority_levels: 3 default_priority_level: 3 }',
      { maxBatch: 8, batching: { maxSize: 8 }, priority: 'low' },
    ],
    [
      'max_batch_size: 8 dynamic_batching { priority_levels: 3 default_priority_level: 1 }',
      { maxBatch: 8, batching: { maxSize: 8 }, priority: 'high' },
    ],
    ['instance_group [ { count: 2 kind: KIND_CPU }, { kind: KIND_AUTO } ]', { instances: 3 }],
    ['instance_group [ { kind: KIND_GPU } ]', { instances: 1, executionProviders: ['cuda', 'cpu'] }],
    ['instance_group [ { count: 2 gpus: [ 1 ] } ]', { instances: 2, executionProviders: [{ name: 'cuda', deviceId: 1 }, 'cpu'] }],
    ['instance_group { passive: true }', {}],
    [
      'optimization { execution_accelerators { gpu_execution_accelerator [ { name: "tensorrt" } ] } } instance_group { kind: KIND_GPU }',
      { instances: 1, executionProviders: ['tensorrt', 'cuda', 'cpu'] },
    ],
    ['optimization { graph { level: -1 } }', { session: { graphOptimizationLevel: 'basic' } }],
    ['optimization { graph { level: 1 } }', { session: { graphOptimizationLevel: 'extended' } }],
    ['response_cache { enable: true }', { cache: { maxBytes: 64 * 1024 * 1024 } }],
    ['response_cache { enable: false }', {}],
    [
      `parameters { key: "intra_op_thread_count" value { string_value: "3" } }
       parameters { key: "execution_mode" value { string_value: "1" } }
       parameters { key: "session.disable_prepacking" value { string_value: "1" } }
       parameters { key: "inter_op_thread_count" value { string_value: "0" } }`,
      {
        session: { intraOpNumThreads: 3, executionMode: 'parallel', disablePrepacking: true },
        metadata: {
          intra_op_thread_count: '3',
          execution_mode: '1',
          'session.disable_prepacking': '1',
          inter_op_thread_count: '0',
        },
      },
    ],
  ])('%s', (text, settings) => {
    expect(read(text).settings).toEqual(settings)
  })

  test.each<[string, object]>([
    ['version_policy { all { } }', { versionPolicy: 'all' }],
    ['version_policy: { latest { num_versions: 2 } }', { versionPolicy: { latest: 2 } }],
    ['version_policy: { latest { } }', { versionPolicy: { latest: 1 } }],
    ['version_policy { specific: { versions: [ 1, 3 ] } }', { versionPolicy: { specific: ['1', '3'] } }],
    ['default_model_filename: "net.onnx"', { file: 'net.onnx' }],
    ['output { name: "p" label_filename: "words.txt" } output { name: "q" }', { labelFiles: { p: 'words.txt' } }],
    [
      `max_batch_size: 4 model_warmup [ {
         name: "w" batch_size: 2 count: 3
         inputs { key: "x" value { data_type: TYPE_FP32 dims: [ 4 ] random_data: true } }
         inputs { key: "y" value { data_type: TYPE_STRING dims: 1 input_data_file: "y.bin" } }
         inputs { key: "z" value { data_type: TYPE_BOOL dims: [] zero_data: true } } } ]`,
      {
        warmup: [
          {
            name: 'w',
            repeats: 3,
            inputs: {
              x: { type: 'float32', dims: [2, 4], fill: 'random' },
              y: { type: 'string', dims: [2, 1], fill: { file: 'y.bin' } },
              z: { type: 'bool', dims: [2], fill: 'zero' },
            },
          },
        ],
      },
    ],
  ])('%s', (text, rest) => {
    expect(read(text)).toMatchObject(rest)
  })

  test('levels are spread over the three priorities', () => {
    expect([1].map((level) => priorityOf(level, 1))).toEqual(['normal'])
    expect([1, 2].map((level) => priorityOf(level, 2))).toEqual(['high', 'normal'])
    expect([1, 2, 3].map((level) => priorityOf(level, 3))).toEqual(['high', 'normal', 'low'])
    expect([1, 5, 10].map((level) => priorityOf(level, 10))).toEqual(['high', 'normal', 'low'])
  })
})

test('every field that has no effect, or another one, is reported', () => {
  const { notes } = read(`
    max_batch_size: 2000 runtime: "x"
    input { name: "x" format: FORMAT_NCHW allow_ragged_batch: true is_shape_tensor: true }
    batch_input { kind: BATCH_ELEMENT_COUNT } batch_output { target_name: "y" }
    dynamic_batching {
      preferred_batch_size: [ 4 ] preserve_ordering: true max_queue_delay_microseconds: 60000000
      priority_levels: 5 default_priority_level: 2
      default_queue_policy { timeout_action: DELAY } priority_queue_policy { key: 1 value { } }
    }
    instance_group [ { count: 300 kind: KIND_CPU rate_limiter { } profile: "p" host_policy: "h" secondary_devices { } },
                     { kind: KIND_GPU gpus: [ 0, 1 ] }, { passive: true } ]
    optimization {
      priority: PRIORITY_MAX cuda { graphs: true } input_pinned_memory { enable: true } output_pinned_memory { } graph { level: 7 }
      gather_kernel_buffer_threshold: 1 eager_batching: true
      execution_accelerators { cpu_execution_accelerator [ { name: "openvino" parameters { key: "a" value: "b" } } ] }
    }
    cc_model_filenames { key: "8.0" value: "m" } metric_tags { key: "a" value: "b" } model_metrics { }
    parameters { key: "mine" value { string_value: "1" } }
    model_operations { op_library_filename: "libx.so" } model_transaction_policy { decoupled: true }
    model_warmup { count: 100000 }`)
  expect(notes.sort()).toEqual(
    [
      ...['runtime', 'batch_input', 'batch_output', 'cc_model_filenames', 'metric_tags', 'model_metrics', 'max_batch_size'],
      ...['format', 'allow_ragged_batch', 'is_shape_tensor'].map((field) => `input[0].${field}`),
      ...[
        'preferred_batch_size',
        'preserve_ordering',
        'max_queue_delay_microseconds',
        'priority_levels',
        'priority_queue_policy',
      ].map((field) => `dynamic_batching.${field}`),
      'dynamic_batching.default_queue_policy.timeout_action',
      ...['rate_limiter', 'profile', 'host_policy', 'secondary_devices'].map((field) => `instance_group[0].${field}`),
      ...['instance_group', 'instance_group', 'instance_group', 'instance_group[2].passive'],
      ...['priority', 'cuda', 'input_pinned_memory', 'output_pinned_memory', 'graph.level'].map(
        (field) => `optimization.${field}`,
      ),
      ...['gather_kernel_buffer_threshold', 'eager_batching'].map((field) => `optimization.${field}`),
      'optimization.execution_accelerators.cpu_execution_accelerator[0]',
      'optimization.execution_accelerators.cpu_execution_accelerator[0].parameters',
      ...['parameters["mine"]', 'model_operations.op_library_filename', 'model_transaction_policy.decoupled'],
      'model_warmup[0].count',
    ].sort(),
  )
  expect(read('sequence_batching { } max_batch_size: 2').notes).toEqual(['sequence_batching'])
  expect(read('dynamic_batching { } max_batch_size: 0').notes).toEqual(['dynamic_batching'])
})

test('what is written for the sake of completeness is not reported', () => {
  const { notes } = read(`
    name: "m" platform: "onnxruntime_onnx" max_batch_size: 8 default_model_filename: "model.onnx"
    input [ { name: "x" data_type: TYPE_FP32 format: FORMAT_NONE dims: [ 4 ] allow_ragged_batch: false is_shape_tensor: false } ]
    dynamic_batching { preserve_ordering: false max_queue_delay_microseconds: 100 }
    instance_group [ { name: "a" count: 1 kind: KIND_CPU passive: false } ]
    optimization { priority: PRIORITY_DEFAULT graph { level: 0 } }
    model_transaction_policy { decoupled: false } response_cache { enable: true } version_policy { latest { num_versions: 1 } }`)
  expect(notes).toEqual([])
})

/**
 * A model's configuration as Triton's `ModelConfig`: its own `config.pbtxt`, completed from the graph, as Triton completes it.
 * https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_model_configuration.md
 */

import type { ModelInfo } from '../../model/types.ts'
import { toWireType, type WireType } from '../../tensor/index.ts'
import type { ValueInfo } from '../../tensor/types.ts'
import type { JsonValue } from '../types.ts'

type Fields = { readonly [field: string]: JsonValue }

/** @param maxRows of a request, where the model takes rows */
export function encodeConfig(info: ModelInfo, maxRows: number): Uint8Array {
  const declared = info.tritonConfig ?? {}
  const hasRows = declared.max_batch_size === undefined ? rowsOf(info) : Number(declared.max_batch_size) > 0
  const completed: Fields = {
    name: info.name,
    platform: 'onnxruntime_onnx',
    backend: 'onnxruntime',
    version_policy: { specific: { versions: [info.version] } },
    max_batch_size: hasRows ? maxRows : 0,
    input: info.inputs.map((input) => ({ ...describe(input, hasRows), optional: input.optional === true })),
    output: info.outputs.map((output) => ({ ...describe(output, hasRows), label_filename: '' })),
    instance_group: [
      {
        name: info.name,
        kind: info.executionProvider === undefined || info.executionProvider === 'cpu' ? 'KIND_CPU' : 'KIND_GPU',
        count: info.instances.target,
      },
    ],
    default_model_filename: 'model.onnx',
    model_transaction_policy: { decoupled: false },
    ...(info.sequences
      ? { sequence_batching: { max_sequence_idle_microseconds: Math.round(info.sequences.idleTimeoutMs * 1000) } }
      : {}),
    ...(info.batching.enabled && !info.sequences ? { dynamic_batching: {} } : {}),
    parameters: Object.fromEntries(Object.entries(info.metadata).map(([key, value]) => [key, { string_value: value }])),
  }
  const merged = { ...completed, ...declared, name: info.name }
  return Buffer.from(JSON.stringify(merged), 'utf8')
}

/** Every input and output has a dimension of rows in front that the graph leaves open. */
const rowsOf = ({ inputs, outputs }: ModelInfo): boolean =>
  inputs.length > 0 &&
  [...inputs, ...outputs].every(({ dims }) => dims !== undefined && dims.length > 0 && typeof dims[0] !== 'number')

function describe({ name, type, dims }: ValueInfo, hasRows: boolean): Fields {
  const sizes = dims?.map((dim) => (typeof dim === 'number' ? dim : -1)) ?? [-1]
  return {
    name,
    data_type: type === undefined ? 'TYPE_INVALID' : configType(toWireType(type)),
    dims: hasRows ? sizes.slice(1) : sizes,
  }
}

const configType = (type: WireType): string => `TYPE_${type === 'BYTES' ? 'STRING' : type}`

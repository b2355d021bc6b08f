/** State and signature of a model, as TensorFlow Serving tells them. */

import type { ModelInfo, ModelState } from '../../model/types.ts'
import type { DType, ValueInfo } from '../../tensor/types.ts'
import { SIGNATURE } from './request.ts'

const STATES: Readonly<Record<ModelState, string>> = {
  loading: 'LOADING',
  ready: 'AVAILABLE',
  draining: 'UNLOADING',
  failed: 'END',
  unloaded: 'END',
}

/** The answer to `GET /v1/models/NAME`: the newest version first. */
export function encodeTfStatus(models: readonly ModelInfo[]): Uint8Array {
  const statuses = models.toReversed().map(({ version, state, reason }) => ({
    version,
    state: STATES[state],
    // The reason may hold paths and ONNX Runtime's words, which are for the log; its code is not.
    status: reason ? { error_code: 'INTERNAL', error_message: reason.code } : { error_code: 'OK', error_message: '' },
  }))
  return encode({ model_version_status: statuses })
}

const TF_TYPES: Readonly<Record<DType, string>> = {
  float32: 'DT_FLOAT',
  float64: 'DT_DOUBLE',
  float16: 'DT_HALF',
  int8: 'DT_INT8',
  int16: 'DT_INT16',
  int32: 'DT_INT32',
  int64: 'DT_INT64',
  uint8: 'DT_UINT8',
  uint16: 'DT_UINT16',
  uint32: 'DT_UINT32',
  uint64: 'DT_UINT64',
  bool: 'DT_BOOL',
  string: 'DT_STRING',
}

/** The answer to `GET /v1/models/NAME/metadata`. */
export function encodeTfMetadata(info: ModelInfo): Uint8Array {
  const definition = {
    inputs: describeAll(info.inputs),
    outputs: describeAll(info.outputs),
    method_name: 'tensorflow/serving/predict',
  }
  return encode({
    model_spec: { name: info.name, signature_name: '', version: info.version },
    // Twice indeed: a map of signatures inside a message that holds nothing else.
    metadata: { signature_def: { signature_def: { [SIGNATURE]: definition } } },
  })
}

const describeAll = (values: readonly ValueInfo[]): object =>
  Object.fromEntries(values.map((value) => [value.name, describe(value)]))

function describe({ name, type, dims }: ValueInfo): object {
  const dim = dims?.map((size) => ({
    size: String(typeof size === 'number' ? size : -1),
    name: typeof size === 'string' ? size : '',
  }))
  return {
    dtype: type === undefined ? 'DT_INVALID' : TF_TYPES[type],
    tensor_shape: { dim: dim ?? [], unknown_rank: dims === undefined },
    name,
  }
}

/** The body of every failed call. */
export const encodeTfError = ({ message, code }: { readonly message: string; readonly code: string }): Uint8Array =>
  encode({ error: message, code })

const encode = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value), 'utf8')

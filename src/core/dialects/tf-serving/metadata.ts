/** State and signature of a model, as TensorFlow Serving tells them. */

import type { ModelInfo, ModelState } from '../../model/types.ts'
import { DTYPES } from '../../tensor/index.ts'
import type { ValueInfo } from '../../tensor/types.ts'
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
    dtype: type === undefined ? 'DT_INVALID' : DTYPES[type].tf,
    tensor_shape: { dim: dim ?? [], unknown_rank: dims === undefined },
    name,
  }
}

/** The body of every failed call. */
export const encodeTfError = ({ message, code }: { readonly message: string; readonly code: string }): Uint8Array =>
  encode({ error: message, code })

const encode = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value), 'utf8')

/** Descriptions of the server and its models. */

import type { ModelInfo } from '../../model/types.ts'
import { toWireType } from '../../tensor/index.ts'
import type { ValueInfo } from '../../tensor/types.ts'

/** The answer to `GET /v2`. */
export function encodeServerMetadata(name: string, version: string, extensions: readonly string[]): Uint8Array {
  return encode({ name, version, extensions })
}

/**
 * The answer to `GET /v2/models/{name}`.
 * Dynamic dims are -1. The protocol has no word for an unknown rank, so that is the shape [-1] too: [] would promise a scalar.
 * A value that cannot be carried has its declared ONNX type as datatype. Outputs that are not served stand in `parameters.left_out`.
 */
export function encodeModelMetadata(info: ModelInfo, versions: readonly string[]): Uint8Array {
  const inputs = info.inputs.map(describeValue)
  const outputs = info.outputs.map(describeValue)
  const left = info.leftOut.map(({ name, declaredType, reason }) => ({ name, datatype: declaredType, reason }))
  const parameters = left.length > 0 ? { parameters: { left_out: left } } : {}
  return encode({ name: info.name, versions, platform: 'onnxruntime_onnx', inputs, outputs, ...parameters })
}

function describeValue(info: ValueInfo): { name: string; datatype: string; shape: number[] } {
  const datatype = info.type === undefined ? info.declaredType : toWireType(info.type)
  const shape = info.dims?.map((dim) => (typeof dim === 'number' ? dim : -1)) ?? [-1]
  return { name: info.name, datatype, shape }
}

function encode(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value), 'utf8')
}

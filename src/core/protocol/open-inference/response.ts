/** Answers to infer requests: JSON, UTF-8, `data` flat, followed by the outputs that were asked for as raw bytes. */

import { toWireType } from '../../tensor/index.ts'
import type { PredictResult } from '../../types.ts'
import { createTextSink, writeElements } from '../write-json.ts'
import { blobOf } from './blobs.ts'
import { type ClassNames, topClasses } from './classification.ts'
import { ALL_JSON, type Forms } from './forms.ts'

export interface EncodeOptions extends ClassNames {
  /** The client's own id; left out when the client sent none. */
  readonly id?: string
  /** @default all JSON */
  readonly forms?: Forms
}

/** Below this, joining costs less than one more piece to write. */
const APART_BYTES = 16 * 1024

export interface EncodedInfer {
  readonly body: Uint8Array
  /** The tensors after `body`, where all together they are large: views of their memory. */
  readonly rest?: readonly Uint8Array[]
  /** Bytes of JSON before the tensors; absent when there is nothing but JSON, as Triton has it. */
  readonly headerLength?: number
}

export function encodeInfer(result: PredictResult, opts: EncodeOptions = {}): EncodedInfer {
  const { id, forms = ALL_JSON } = opts
  const sink = createTextSink()
  const blobs: Uint8Array[] = []
  sink.write(`{"model_name":${JSON.stringify(result.model)},"model_version":${JSON.stringify(result.version)}`)
  if (id !== undefined) sink.write(`,"id":${JSON.stringify(id)}`)
  sink.write(',"outputs":[')
  let separator = ''
  for (const name of Object.keys(result.outputs)) {
    const given = result.outputs[name]
    if (!given) continue
    const { binary, classes } = forms(name)
    const tensor = classes === 0 ? given : topClasses(name, given, classes, opts)
    sink.write(
      `${separator}{"name":${JSON.stringify(name)},"datatype":"${toWireType(tensor.type)}","shape":[${tensor.dims.join(',')}],`,
    )
    separator = ','
    if (binary) {
      const blob = blobOf(tensor)
      blobs.push(blob)
      sink.write(`"parameters":{"binary_data_size":${blob.byteLength}}}`)
    } else {
      sink.write('"data":')
      writeElements(tensor, sink)
      sink.write('}')
    }
  }
  sink.write(']}')
  const json = sink.finish()
  if (blobs.every((blob) => blob.byteLength === 0)) return { body: json }
  const headerLength = json.byteLength
  const bytes = blobs.reduce((sum, blob) => sum + blob.byteLength, headerLength)
  return bytes < APART_BYTES
    ? { body: Buffer.concat([json, ...blobs], bytes), headerLength }
    : { body: json, rest: blobs, headerLength }
}

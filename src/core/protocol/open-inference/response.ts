/** Answers to infer requests: JSON, UTF-8, `data` flat, followed by the outputs that were asked for as raw bytes. */

import type { PredictResult } from '../../predict/types.ts'
import { toWireType } from '../../tensor/index.ts'
import { createTextSink, isShort, type Steps, writeElements, writeShort } from '../write-json.ts'
import { blobOf } from './blobs.ts'
import { type ClassNames, labelsIn, topClasses } from './classification.ts'
import { ALL_JSON, type Forms, formOf, refuseLabelCount } from './forms.ts'

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
  /** What follows `body`, where all together it is long. */
  readonly rest?: readonly Uint8Array[]
  /** True when parts of `rest` are views of the tensors' memory. */
  readonly hasViews: boolean
  /** Bytes of JSON before the tensors; absent when there is nothing but JSON, as Triton has it. */
  readonly headerLength?: number
}

/** @throws ModelmountError `REQUEST_INVALID` for more labels than an answer may have */
export function* encodeInfer(result: PredictResult, opts: EncodeOptions = {}): Steps<EncodedInfer> {
  const { id, forms = ALL_JSON } = opts
  if (forms.named.size > 0) refuseLabelCount(countLabels(result, forms, opts))
  const sink = createTextSink()
  const blobs: Uint8Array[] = []
  sink.write(`{"model_name":${JSON.stringify(result.model)},"model_version":${JSON.stringify(result.version)}`)
  if (id !== undefined) sink.write(`,"id":${JSON.stringify(id)}`)
  sink.write(',"outputs":[')
  let separator = ''
  for (const name of Object.keys(result.outputs)) {
    const given = result.outputs[name]
    if (!given) continue
    const { binary, classes } = formOf(forms, name)
    const tensor = classes === 0 ? given : yield* topClasses(name, given, classes, opts)
    sink.write(
      `${separator}{"name":${JSON.stringify(name)},"datatype":"${toWireType(tensor.type)}","shape":[${tensor.dims.join(',')}],`,
    )
    separator = ','
    if (binary) {
      const blob = yield* blobOf(tensor)
      blobs.push(blob)
      sink.write(`"parameters":{"binary_data_size":${blob.byteLength}}}`)
    } else {
      sink.write('"data":')
      if (isShort(tensor)) writeShort(tensor, sink)
      else yield* writeElements(tensor, sink)
      sink.write('}')
    }
  }
  sink.write(']}')
  const [json = NOTHING, ...more] = sink.finish()
  if (blobs.every((blob) => blob.byteLength === 0))
    return more.length > 0 ? { body: json, rest: more, hasViews: false } : { body: json, hasViews: false }
  const headerLength = more.reduce((sum, { byteLength }) => sum + byteLength, json.byteLength)
  const bytes = blobs.reduce((sum, blob) => sum + blob.byteLength, headerLength)
  return bytes < APART_BYTES
    ? { body: Buffer.concat([json, ...more, ...blobs], bytes), hasViews: false, headerLength }
    : { body: json, rest: [...more, ...blobs], hasViews: true, headerLength }
}

const NOTHING = new Uint8Array()

const countLabels = ({ outputs }: PredictResult, forms: Forms, { signature }: EncodeOptions): number =>
  Object.entries(outputs).reduce((sum, [name, tensor]) => {
    const { classes } = formOf(forms, name)
    return classes === 0 ? sum : sum + labelsIn(name, tensor, classes, signature)
  }, 0)

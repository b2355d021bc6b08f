/** Answers to infer requests: JSON, UTF-8, `data` flat, followed by the outputs that were asked for as raw bytes. */

import { toWireType } from '../../tensor/index.ts'
import type { Tensor } from '../../tensor/types.ts'
import type { Result } from '../codec/result.ts'
import { createTextSink, isShort, type Steps, shortText, writeElements, writeShort } from '../codec/write-json.ts'
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
  /** Follows `body`, where all together it is long. */
  readonly moreChunks?: readonly Uint8Array[]
  /** True when parts of `moreChunks` are views of the tensors' memory. */
  readonly hasViews: boolean
  /** Bytes of JSON before the tensors; absent when there is nothing but JSON, as Triton has it. */
  readonly headerLength?: number
}

/**
 * The answer where it is short and nothing but JSON: one string, because a generator and a sink cost more than all of its text.
 * @returns `undefined` for any other answer, which {@link encodeInfer} writes
 */
export function encodeShort(
  { model, version, outputs }: Result,
  { id, forms = ALL_JSON }: EncodeOptions = {},
): Uint8Array | undefined {
  if (forms.named.size === 0 && forms.otherwise.binary) return undefined
  let text = startOf(model, version, id)
  let separator = ''
  for (const name in outputs) {
    const tensor = outputs[name]
    if (!tensor) continue
    const { binary, classes } = formOf(forms, name)
    if (binary || classes > 0 || !isShort(tensor) || text.length > SHORT_TEXT) return undefined
    text += `${separator}${headOf(name, tensor)}"data":[${shortText(tensor)}]}`
    separator = ','
  }
  return Buffer.from(`${text}]}`, 'utf8')
}

/** Characters that are written at once. */
const SHORT_TEXT = 64 * 1024

function startOf(model: string, version: string, id: string | undefined): string {
  const start = `{"model_name":${inQuotes(model)},"model_version":${inQuotes(version)}`
  return id === undefined ? `${start},"outputs":[` : `${start},"id":${JSON.stringify(id)},"outputs":[`
}

const headOf = (name: string, { type, dims }: Tensor): string =>
  `{"name":${inQuotes(name)},"datatype":"${toWireType(type)}","shape":[${listed(dims)}],`

/** `join` takes longer than the rest of a short answer. */
function listed(dims: readonly number[]): string {
  let text = ''
  for (const dim of dims) text = text === '' ? `${dim}` : `${text},${dim}`
  return text
}

/** Names of models and outputs, which are few, as JSON. */
const quotedNames = new Map<string, string>()
const MOST_NAMES = 1000

function inQuotes(name: string): string {
  const known = quotedNames.get(name)
  if (known !== undefined) return known
  const quoted = JSON.stringify(name)
  if (quotedNames.size >= MOST_NAMES) quotedNames.clear()
  quotedNames.set(name, quoted)
  return quoted
}

/**
 * The answer where it is nothing but numbers as raw bytes.
 * @returns `undefined` for any other answer, which {@link encodeInfer} writes
 */
export function encodeRaw(
  { model, version, outputs }: Result,
  { id, forms = ALL_JSON }: EncodeOptions = {},
): EncodedInfer | undefined {
  if (forms.named.size === 0 && !forms.otherwise.binary) return undefined
  const blobs: Uint8Array[] = []
  let text = startOf(model, version, id)
  let bytes = 0
  for (const name in outputs) {
    const tensor = outputs[name]
    if (!tensor) continue
    const { binary, classes } = formOf(forms, name)
    if (!binary || classes > 0 || tensor.type === 'string') return undefined
    const { buffer, byteOffset, byteLength } = tensor.data
    text += `${bytes > 0 ? ',' : ''}${headOf(name, tensor)}"parameters":{"binary_data_size":${byteLength}}}`
    blobs.push(new Uint8Array(buffer, byteOffset, byteLength))
    if (byteLength === 0) return undefined
    bytes += byteLength
  }
  if (bytes === 0) return undefined
  return withBlobs(Buffer.from(`${text}]}`, 'utf8'), blobs, bytes)
}

function withBlobs(json: Uint8Array, blobs: readonly Uint8Array[], bytes: number): EncodedInfer {
  const headerLength = json.byteLength
  return headerLength + bytes < APART_BYTES
    ? { body: Buffer.concat([json, ...blobs], headerLength + bytes), hasViews: false, headerLength }
    : { body: json, moreChunks: blobs, hasViews: true, headerLength }
}

/** @throws ModelmountError `REQUEST_INVALID` for more labels than an answer may have */
export function* encodeInfer(result: Result, opts: EncodeOptions = {}): Steps<EncodedInfer> {
  const { id, forms = ALL_JSON } = opts
  if (forms.named.size > 0) refuseLabelCount(countLabels(result, forms, opts))
  const sink = createTextSink()
  const blobs: Uint8Array[] = []
  sink.write(startOf(result.model, result.version, id))
  let separator = ''
  for (const name of Object.keys(result.outputs)) {
    const given = result.outputs[name]
    if (!given) continue
    const { binary, classes } = formOf(forms, name)
    const tensor = classes === 0 ? given : yield* topClasses(name, given, classes, opts)
    sink.write(`${separator}${headOf(name, tensor)}`)
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
    return more.length > 0 ? { body: json, moreChunks: more, hasViews: false } : { body: json, hasViews: false }
  const headerLength = more.reduce((sum, { byteLength }) => sum + byteLength, json.byteLength)
  const bytes = blobs.reduce((sum, blob) => sum + blob.byteLength, headerLength)
  return bytes < APART_BYTES
    ? { body: Buffer.concat([json, ...more, ...blobs], bytes), hasViews: false, headerLength }
    : { body: json, moreChunks: [...more, ...blobs], hasViews: true, headerLength }
}

const NOTHING = new Uint8Array()

const countLabels = ({ outputs }: Result, forms: Forms, { signature }: EncodeOptions): number =>
  Object.entries(outputs).reduce((sum, [name, tensor]) => {
    const { classes } = formOf(forms, name)
    return classes === 0 ? sum : sum + labelsIn(name, tensor, classes, signature)
  }, 0)

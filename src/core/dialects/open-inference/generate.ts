/**
 * Triton's generate extension: one flat JSON object in, one out. Meant for text models, whose tensors are called `text_input` and `text_output`, but
 * any model works. https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_generate.md
 */

import { checkInputs, mismatch, product, toWireType, type Vocabulary } from '../../tensor/index.ts'
import type { ModelSignature, Tensor, ValueInfo } from '../../tensor/types.ts'
import { bigIntegerAdvice, readJsonObject } from '../codec/body.ts'
import { invalid, isObject, optional, type Parameters, readId, readParameters } from '../codec/fields.ts'
import type { Result } from '../codec/result.ts'
import {
  createTextSink,
  isShort,
  type Steps,
  type TextSink,
  writeElements,
  writeShort,
  writeStrings,
} from '../codec/write-json.ts'

export interface GenerateRequest {
  readonly id?: string
  /** Null-prototype object, input name -> tensor that fits the signature. */
  readonly inputs: Record<string, Tensor>
  /** Members that are no inputs of the model. */
  readonly parameters: Readonly<Parameters>
}

/** @throws ModelmountError `REQUEST_INVALID`, `INPUT_INVALID` */
export function decodeGenerate(
  body: unknown,
  signature: ModelSignature,
  opts: { readonly maxElements: number },
): GenerateRequest {
  const { json, isRaw } = readJsonObject(body, signature, opts)
  const { id, parameters, ...members } = json
  const nested = optional(parameters) ?? {}
  if (!isObject(nested)) throw invalid('parameters', 'an object', nested)
  const tensors: Record<string, unknown> = Object.create(null)
  const others: Record<string, unknown> = Object.create(null)
  // Members of `parameters` are read like those beside it, which win.
  for (const [name, value] of [...Object.entries(nested), ...Object.entries(members)]) {
    const info = signature.inputs.find((input) => input.name === name)
    if (info?.type === undefined) others[name] = value
    else if (value !== null || info.optional !== true) tensors[name] = { type: info.type, ...shaped(info, value) }
  }
  const vocabulary: Vocabulary = {
    typeName: toWireType,
    pathOf: (input) => input,
    fields: { type: 'datatype', dims: 'shape', data: 'data' },
    elements: { json: true, bigIntegerAdvice: bigIntegerAdvice(isRaw) },
  }
  const inputs = checkInputs(signature, tensors, { maxElements: opts.maxElements, vocabulary })
  return { id: readId(optional(id)), inputs, parameters: readParameters(others, 'parameters') }
}

/** A scalar, or a flat list; the innermost open dimension takes what the fixed ones leave, the other open ones are 1. */
function shaped(
  { name, dims }: ValueInfo,
  value: unknown,
): { readonly dims: readonly number[]; readonly data: readonly unknown[] } {
  const data: readonly unknown[] = Array.isArray(value) ? value : [value]
  if (!dims) return { dims: [data.length], data }
  const rest = data.length / product(dims.filter((dim) => typeof dim === 'number'))
  const innermost = dims.findLastIndex((dim) => typeof dim !== 'number')
  const fits = innermost === -1 ? rest === 1 : Number.isInteger(rest)
  const shape = dims.map((dim, i) => (typeof dim === 'number' ? dim : i === innermost ? rest : 1))
  if (!fits) throw mismatch(name, name, `elements for the shape [${dims.map((dim) => dim ?? '?').join(',')}]`, `${data.length}`)
  return { dims: shape, data }
}

/** All outputs by name, flat; one element by itself. */
export function encodeGenerate(answer: Result, id: string | undefined): Steps<readonly Uint8Array[]> {
  return write(answer, id, createTextSink())
}

/** The same as the one event of a stream. */
export function* encodeGenerateEvent(answer: Result, id: string | undefined): Steps<readonly Uint8Array[]> {
  const sink = createTextSink()
  sink.write('data: ')
  const json = yield* write(answer, id, sink)
  return [...json, Buffer.from('\n\n')]
}

function* write({ model, version, outputs }: Result, id: string | undefined, sink: TextSink): Steps<readonly Uint8Array[]> {
  sink.write(`{"model_name":${JSON.stringify(model)},"model_version":${JSON.stringify(version)}`)
  if (id !== undefined) sink.write(`,"id":${JSON.stringify(id)}`)
  for (const [name, tensor] of Object.entries(outputs)) {
    sink.write(`,${JSON.stringify(name)}:`)
    if (isShort(tensor)) {
      if (tensor.data.length === 1) sink.write(single(tensor))
      else writeShort(tensor, sink)
    } else if (tensor.type === 'string' && tensor.data.length === 1) yield* writeStrings(tensor.data, sink)
    else yield* writeElements(tensor, sink)
  }
  sink.write('}')
  return sink.finish()
}

function single(tensor: Tensor): string {
  const sink = createTextSink()
  writeShort(tensor, sink)
  return Buffer.concat(sink.finish()).toString('utf8').slice(1, -1)
}

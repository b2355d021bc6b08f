/** Infer requests of the Open Inference Protocol v2, JSON and binary: https://github.com/kserve/open-inference-protocol */

import { ModelmountError } from '../../errors.ts'
import {
  checkInputs,
  type ElementArrays,
  fromWireType,
  inputFault,
  product,
  quote,
  shorten,
  toWireType,
  typedArrayName,
  type Vocabulary,
} from '../../tensor/index.ts'
import type { DType, ModelSignature } from '../../tensor/types.ts'
import { bigIntegerAdvice, readJsonObject } from '../codec/body.ts'
import {
  invalid,
  isObject,
  isSize,
  type Json,
  optional,
  readCount,
  readFlag,
  readId,
  readParameters,
  refuseParameters,
} from '../codec/fields.ts'
import { isLarge, readLargeJson } from '../codec/large-json.ts'
import { type Blobs, bytesOf, createBlobs, elementsIn, type Target } from './blobs.ts'
import { ALL_BINARY, readOutputs, refuseLabels } from './forms.ts'
import { headsOf } from './heads.ts'
import type { InferRequest } from './infer-request.ts'
import { rawInput } from './raw.ts'
import { templatesOf } from './templates.ts'

export interface DecodeOptions extends Target {
  /** Largest number of elements of one input. */
  readonly maxElements: number
  /**
   * Value of `Inference-Header-Content-Length`: bytes of JSON before the tensors, 0 for a body that is one tensor alone. The header alone
   * makes a request binary; its content type says nothing.
   */
  readonly headerLength?: number
  /** The pieces after a body that is bytes, where it came in pieces; the JSON ends in the first. */
  readonly moreChunks?: readonly Uint8Array[] | undefined
}

/**
 * Reads the body of an infer request and checks it against the model.
 * @param body the raw bytes or text of the body, or what a body parser of the app made of it; a parsed body cannot hold integers beyond 2^53 exactly,
 *   so they are refused there
 * @throws ModelmountError `REQUEST_INVALID` for a body that is not shaped like the protocol's request (`details.field` names the place),
 *   `INPUT_INVALID` for inputs that do not fit the signature, `OUTPUT_NOT_FOUND`
 */
export function decodeInfer(body: unknown, signature: ModelSignature, opts: DecodeOptions): InferRequest {
  const { headerLength, maxElements, moreChunks = [] } = opts
  const isBytes = typedArrayName(body) === 'Uint8Array'
  const paths = new Map<string, string>()
  if (headerLength !== undefined && !isBytes && body !== undefined) throw parsedBody()
  const bytes = isBytes ? (body as Uint8Array) : new Uint8Array()
  if (headerLength !== undefined && headerLength > bytes.byteLength) throw longHeader(headerLength, bytes.byteLength)
  if (headerLength === 0) {
    const [name, tensor] = rawInput([bytes, ...moreChunks], signature, opts)
    paths.set(name, 'body')
    const inputs = checkInputs(signature, { [name]: tensor }, { maxElements, vocabulary: vocabularyFor(paths, true) })
    return { inputs, forms: ALL_BINARY, parameters: readParameters(undefined, 'parameters') }
  }

  const isJson = isBytes && headerLength === undefined
  const numbers = isJson ? decodeNumbers(bytes, signature, opts) : undefined
  if (numbers) return numbers
  const templates = isJson ? templatesOf(signature) : undefined
  const like = templates?.read(bytes, maxElements)
  if (like) return like
  if (headerLength !== undefined) return decodeBinary(bytes, headerLength, signature, opts, paths)
  const { json: request, isRaw } = readJsonObject(body, signature, opts)
  const read = requestFrom(request, signature, { maxElements, isRaw, paths })
  templates?.learn(bytes, [...paths.keys()], read)
  return read
}

/** JSON and the tensors after it. */
function decodeBinary(
  bytes: Uint8Array,
  headerLength: number,
  signature: ModelSignature,
  opts: DecodeOptions,
  paths: Map<string, string>,
): InferRequest {
  const { maxElements, moreChunks } = opts
  const heads = headsOf(signature)
  const json = bytes.subarray(0, headerLength)
  const start = bytes.subarray(headerLength)
  const tensors = moreChunks ? [start, ...moreChunks] : [start]
  const like = heads.read(json, tensors, maxElements, opts)
  if (like) return like
  const { json: request, isRaw } = readJsonObject(json, signature, opts)
  const read = requestFrom(request, signature, { maxElements, isRaw, paths, blobs: createBlobs(tensors, opts) })
  heads.learn(json, bytesOf(tensors), paths, read)
  return read
}

/**
 * The request in a large body of flat lists of numbers, which are scanned and not parsed.
 * @returns `undefined` for any other body
 * @throws ModelmountError as {@link decodeInfer} does
 */
export function decodeNumbers(
  body: Uint8Array,
  signature: ModelSignature,
  opts: Pick<DecodeOptions, 'maxElements' | 'buffers'>,
): InferRequest | undefined {
  const request = isLarge(body) ? readLargeJson(body, signature, opts) : undefined
  return request && requestFrom(request, signature, { maxElements: opts.maxElements, isRaw: true, paths: new Map() })
}

interface Reading {
  readonly maxElements: number
  readonly isRaw: boolean
  /** Learns where each input stands. */
  readonly paths: Map<string, string>
  readonly blobs?: Blobs | undefined
}

function requestFrom(request: Json, signature: ModelSignature, { maxElements, isRaw, paths, blobs }: Reading): InferRequest {
  const id = readId(optional(request.id))
  const parameters = readParameters(optional(request.parameters), 'parameters')
  const tensors = readInputs(optional(request.inputs), signature, blobs, paths)
  blobs?.end()
  const { outputs, forms } = readOutputs(
    optional(request.outputs),
    signature,
    readFlag(parameters, 'binary_data_output', 'parameters'),
  )
  const inputs = checkInputs(signature, tensors, { maxElements, vocabulary: vocabularyFor(paths, isRaw) })
  if (forms.named.size > 0) refuseLabels(forms, signature, inputs)
  return { id, inputs, outputs, forms, parameters }
}

function parsedBody(): ModelmountError {
  const message = 'the body was parsed before it got here, so it has no bytes to follow: mount the router before express.json()'
  return new ModelmountError('REQUEST_INVALID', message, { details: { field: 'inference-header-content-length' } })
}

function longHeader(headerLength: number, bodyLength: number): ModelmountError {
  const field = 'inference-header-content-length'
  const expected = `at most ${bodyLength}, the bytes of the body`
  const got = `${headerLength}`
  return new ModelmountError('REQUEST_INVALID', `the header ${field} must be ${expected}, got ${got}`, {
    details: { field, expected, got },
  })
}

function vocabularyFor(paths: ReadonlyMap<string, string>, isRaw: boolean): Vocabulary {
  return {
    typeName: toWireType,
    pathOf: (input) => paths.get(input) ?? 'inputs',
    fields: { type: 'datatype', dims: 'shape', data: 'data' },
    elements: {
      json: true,
      bigIntegerAdvice: bigIntegerAdvice(isRaw),
    },
  }
}

/** Checks the form of every input and turns it into `{ type, dims, data }`; `paths` learns where each name stands. */
function readInputs(
  inputs: unknown,
  signature: ModelSignature,
  blobs: Blobs | undefined,
  paths: Map<string, string>,
): Record<string, unknown> {
  const tensors: Record<string, unknown> = Object.create(null)
  const isNeeded = signature.inputs.some((info) => info.optional !== true)
  if (inputs === undefined && !isNeeded) return tensors
  if (!Array.isArray(inputs)) throw invalid('inputs', 'an array', inputs)
  if (inputs.length === 0 && isNeeded) {
    const details = { field: 'inputs', expected: 'at least one input', got: 'none' }
    throw new ModelmountError('REQUEST_INVALID', 'inputs must have at least one input, got none', { details })
  }
  for (const [i, input] of inputs.entries()) {
    const path = `inputs[${i}]`
    const { name, ...tensor } = readInput(input, path, blobs)
    const earlier = paths.get(name)
    if (earlier !== undefined) {
      throw inputFault(`input ${quote(name)} is given twice, as ${earlier} and ${path}`, { input: shorten(name), field: path })
    }
    paths.set(name, path)
    tensors[name] = tensor
  }
  return tensors
}

interface WireInput {
  readonly name: string
  readonly type: DType
  readonly dims: readonly number[]
  readonly data: readonly unknown[] | ElementArrays[DType]
}

function readInput(input: unknown, path: string, blobs: Blobs | undefined): WireInput {
  if (!isObject(input)) throw invalid(path, 'an object', input)
  const { name, shape, datatype } = input
  const data = optional(input.data)
  if (typeof name !== 'string') throw invalid(`${path}.name`, 'a string', name)
  if (!Array.isArray(shape) || !shape.every(isSize)) throw invalid(`${path}.shape`, 'an array of non-negative integers', shape)
  if (typeof datatype !== 'string') throw invalid(`${path}.datatype`, 'a string', datatype)
  const type = fromWireType(datatype)
  if (type === undefined) throw unknownType(datatype, `${path}.datatype`)
  const read = readParameters(optional(input.parameters), `${path}.parameters`)
  refuseParameters(read, `${path}.parameters`, ['shared_memory_region'])
  const size = readCount(read, 'binary_data_size', `${path}.parameters`)
  if (size === undefined) {
    if (!Array.isArray(data) && typedArrayName(data) === undefined) throw invalid(`${path}.data`, 'an array', data)
    return { name, type, dims: shape, data: data as readonly unknown[] | ElementArrays[DType] }
  }
  const field = `${path}.parameters.binary_data_size`
  if (data !== undefined) {
    const message = `${path} has both data and parameters.binary_data_size; send one of them`
    throw new ModelmountError('REQUEST_INVALID', message, { details: { field: `${path}.data` } })
  }
  if (!blobs) {
    const message = `${field} needs the header Inference-Header-Content-Length, which says where the JSON ends`
    throw new ModelmountError('REQUEST_INVALID', message, { details: { field } })
  }
  const count = product(shape)
  if (!Number.isSafeInteger(count)) {
    const details = { field: `${path}.shape`, expected: 'fewer elements', got: 'more' }
    throw new ModelmountError('REQUEST_INVALID', `${path}.shape has more elements than anything can hold`, { details })
  }
  return {
    name,
    type,
    dims: shape,
    data: elementsIn(type, blobs.take(size, field), count, { input: shorten(name), field }, blobs.target),
  }
}

function unknownType(datatype: string, field: string): ModelmountError {
  const expected = 'a datatype that this server can read, such as FP32'
  if (datatype !== 'BF16') return invalid(field, expected, 'another')
  const message = `${field} is BF16, which ONNX Runtime's Node binding cannot carry; send FP32 to a model that casts`
  return new ModelmountError('REQUEST_INVALID', message, { details: { field, expected, got: 'BF16' } })
}

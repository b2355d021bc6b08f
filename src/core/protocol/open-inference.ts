/** Open Inference Protocol v2, JSON form: https://github.com/kserve/open-inference-protocol */

import { type ErrorDetails, ModelmountError, toModelmountError } from '../errors.ts'
import {
  checkInputs,
  type Dialect,
  fromWireType,
  inputFault,
  kindOf,
  quote,
  shorten,
  toWireType,
  typedArrayName,
} from '../tensor/index.ts'
import type { DType, ModelInfo, ModelSignature, PredictResult, Tensor, ValueInfo } from '../types.ts'
import { parseJson, parseJsonExact, readText } from './json.ts'
import { createTextSink, writeElements } from './write-json.ts'

/** A decoded infer request. */
export interface InferRequest {
  /** Absent when the client sent none, or an empty one; only a client's own id is echoed. */
  readonly id?: string
  /** Null-prototype object, input name -> tensor that fits the signature. */
  readonly inputs: Record<string, Tensor>
  /** Names of the wanted outputs, all of them known, each once. Absent when the client wants all. */
  readonly outputs?: string[]
  /** The request's own parameters; null-prototype object. Parameters of single tensors are checked and dropped. */
  readonly parameters: Record<string, string | number | boolean>
}

type Json = Readonly<Record<string, unknown>>

/**
 * Reads the body of an infer request and checks it against the model.
 * @param body the raw bytes or text of the body, or what a body parser of the app made of it; a parsed body cannot hold integers beyond 2^53 exactly,
 *   so they are refused there
 * @param opts.maxElements largest number of elements of one input
 * @throws ModelmountError `REQUEST_INVALID` for a body that is not shaped like the protocol's request (`details.field` names the place),
 *   `INPUT_INVALID` for inputs that do not fit the signature, `OUTPUT_NOT_FOUND`
 */
export function decodeInfer(body: unknown, signature: ModelSignature, opts: { readonly maxElements: number }): InferRequest {
  const isRaw = typeof body === 'string' || typedArrayName(body) === 'Uint8Array'
  const request = isRaw ? parseRequest(readText(body as Uint8Array | string)) : body
  if (request === undefined) throw new ModelmountError('REQUEST_INVALID', 'the request body is empty')
  if (!isObject(request))
    throw new ModelmountError('REQUEST_INVALID', `the request body must be a JSON object, got ${kindOf(request)}`)
  const id = readId(request.id)
  const parameters = readParameters(request.parameters, 'parameters')
  const paths = new Map<string, string>()
  const tensors = readInputs(request.inputs, signature, paths)
  const outputs = readOutputs(request.outputs, signature)
  const inputs = checkInputs(signature, tensors, { maxElements: opts.maxElements, dialect: createDialect(paths, isRaw) })
  return { id, inputs, outputs, parameters }
}

// ---------------------------------------------------------------- reading

/** A token of 16 digits or more that JSON.parse may round; shorter integers are always exact. */
const LONG_INTEGER = /(?<![\d.])\d{16,}(?![\d.eE])/

function parseRequest(text: string): unknown {
  const request = parseJson(text)
  return hasLongIntegerInputs(request) && LONG_INTEGER.test(text) ? parseJsonExact(text) : request
}

function hasLongIntegerInputs(request: unknown): boolean {
  if (!isObject(request) || !Array.isArray(request.inputs)) return false
  return request.inputs.some((input) => isObject(input) && (input.datatype === 'INT64' || input.datatype === 'UINT64'))
}

function createDialect(paths: ReadonlyMap<string, string>, isRaw: boolean): Dialect {
  return {
    typeName: toWireType,
    pathOf: (input) => paths.get(input) ?? 'inputs',
    fields: { type: 'datatype', dims: 'shape', data: 'data' },
    elements: {
      json: true,
      bigIntegerAdvice: isRaw
        ? 'write it in plain digits, without fraction or exponent'
        : 'the body was parsed before it got here, so mount the router before express.json()',
    },
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function invalid(field: string, expected: string, value: unknown): ModelmountError {
  const got = value === undefined ? 'nothing' : kindOf(value)
  return new ModelmountError('REQUEST_INVALID', `${field} must be ${expected}, got ${got}`, { details: { field, expected, got } })
}

function readId(id: unknown): string | undefined {
  if (id === undefined || id === '') return undefined
  if (typeof id !== 'string') throw invalid('id', 'a string', id)
  return id
}

function readParameters(parameters: unknown, path: string): Record<string, string | number | boolean> {
  const result: Record<string, string | number | boolean> = Object.create(null)
  if (parameters === undefined) return result
  if (!isObject(parameters)) throw invalid(path, 'an object', parameters)
  for (const [name, value] of Object.entries(parameters)) {
    // The exact parser makes BigInts of long integers; nothing promises that parameters keep every digit.
    const scalar = typeof value === 'bigint' ? Number(value) : value
    if (typeof scalar !== 'string' && typeof scalar !== 'number' && typeof scalar !== 'boolean') {
      throw invalid(`${path}[${quote(name)}]`, 'a string, number or boolean', value)
    }
    result[name] = scalar
  }
  return result
}

/** Parameters of one tensor: checked, and refused when ignoring one would change what the request means. */
function checkTensorParameters(parameters: unknown, path: string, unsupported: readonly string[]): void {
  const read = readParameters(parameters, path)
  for (const name of unsupported) {
    if (read[name] === undefined) continue
    throw new ModelmountError('REQUEST_INVALID', `${path}.${name} is not supported by this server`, {
      details: { field: `${path}.${name}` },
    })
  }
}

/** Checks the form of every input and turns it into `{ type, dims, data }`; `paths` learns where each name stands. */
function readInputs(inputs: unknown, signature: ModelSignature, paths: Map<string, string>): Record<string, unknown> {
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
    const { name, ...tensor } = readInput(input, path)
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
  readonly data: readonly unknown[]
}

function readInput(input: unknown, path: string): WireInput {
  if (!isObject(input)) throw invalid(path, 'an object', input)
  const { name, shape, datatype, parameters, data } = input
  if (typeof name !== 'string') throw invalid(`${path}.name`, 'a string', name)
  if (!Array.isArray(shape) || !shape.every(isSize)) throw invalid(`${path}.shape`, 'an array of non-negative integers', shape)
  if (typeof datatype !== 'string') throw invalid(`${path}.datatype`, 'a string', datatype)
  const type = fromWireType(datatype)
  if (type === undefined) throw invalid(`${path}.datatype`, 'a datatype that this server can read, such as FP32', 'another')
  checkTensorParameters(parameters, `${path}.parameters`, ['binary_data_size', 'shared_memory_region'])
  if (!Array.isArray(data)) throw invalid(`${path}.data`, 'an array', data)
  return { name, type, dims: shape, data }
}

function isSize(dim: unknown): dim is number {
  return typeof dim === 'number' && Number.isSafeInteger(dim) && dim >= 0
}

/** An empty list asks for all outputs, as with Triton. */
function readOutputs(outputs: unknown, signature: ModelSignature): string[] | undefined {
  if (outputs === undefined) return undefined
  if (!Array.isArray(outputs)) throw invalid('outputs', 'an array', outputs)
  const names = new Set<string>()
  for (const [i, output] of outputs.entries()) {
    const path = `outputs[${i}]`
    if (!isObject(output)) throw invalid(path, 'an object', output)
    const { name, parameters } = output
    if (typeof name !== 'string') throw invalid(`${path}.name`, 'a string', name)
    // binary_data needs no refusal: clients that ask for it take JSON too.
    checkTensorParameters(parameters, `${path}.parameters`, ['classification', 'shared_memory_region'])
    if (!signature.outputs.some((info) => info.name === name)) throw unknownOutput(name, `${path}.name`, signature)
    if (names.has(name)) {
      throw new ModelmountError('REQUEST_INVALID', `output ${quote(name)} is asked for twice`, {
        details: { field: `${path}.name` },
      })
    }
    names.add(name)
  }
  return names.size === 0 ? undefined : [...names]
}

function unknownOutput(name: string, field: string, signature: ModelSignature): ModelmountError {
  const expected = signature.outputs.map((info) => quote(info.name)).join(', ')
  const details = { field, expected, got: quote(name) }
  return new ModelmountError('OUTPUT_NOT_FOUND', `unknown output ${quote(name)}; the model has ${expected}`, { details })
}

// ---------------------------------------------------------------- writing

/**
 * The answer to an infer request: JSON, UTF-8, `data` flat.
 * @param opts.id the client's own id; left out when the client sent none
 */
export function encodeInfer(result: PredictResult, opts: { readonly id?: string } = {}): Uint8Array {
  const sink = createTextSink()
  sink.write(`{"model_name":${JSON.stringify(result.model)},"model_version":${JSON.stringify(result.version)}`)
  if (opts.id !== undefined) sink.write(`,"id":${JSON.stringify(opts.id)}`)
  sink.write(',"outputs":[')
  for (const [i, [name, tensor]] of Object.entries(result.outputs).entries()) {
    sink.write(
      `${i > 0 ? ',' : ''}{"name":${JSON.stringify(name)},"datatype":"${toWireType(tensor.type)}","shape":[${tensor.dims.join(',')}],"data":`,
    )
    writeElements(tensor, sink)
    sink.write('}')
  }
  sink.write(']}')
  return sink.finish()
}

/** The answer to `GET /v2`. */
export function encodeServerMetadata(name: string, version: string, extensions: readonly string[]): Uint8Array {
  return encode({ name, version, extensions })
}

/**
 * The answer to `GET /v2/models/{name}`.
 * Dynamic dims are -1. The protocol has no word for an unknown rank, so that is the shape [-1] too: [] would promise a scalar.
 * A value that cannot be carried has its declared ONNX type as datatype.
 */
export function encodeModelMetadata(info: ModelInfo, versions: readonly string[]): Uint8Array {
  const inputs = info.inputs.map(describeValue)
  const outputs = info.outputs.map(describeValue)
  return encode({ name: info.name, versions, platform: 'onnxruntime_onnx', inputs, outputs })
}

function describeValue(info: ValueInfo): { name: string; datatype: string; shape: number[] } {
  const datatype = info.type === undefined ? info.declaredType : toWireType(info.type)
  const shape = info.dims?.map((dim) => (typeof dim === 'number' ? dim : -1)) ?? [-1]
  return { name: info.name, datatype, shape }
}

/**
 * The body of every failed call: `{ error, code, details? }`, where `error` is a sentence, as v2 clients want it.
 * Only what a client can act on leaves: the documented details of 4xx errors. Anything that is not a ModelmountError says `internal error`.
 */
export function encodeError(error: unknown): Uint8Array {
  const { code, message, status, details } = toModelmountError(error)
  return encode({ error: message, code, details: status < 500 ? publicDetails(details) : undefined })
}

function publicDetails(details: ErrorDetails | undefined): object | undefined {
  const { field, input, expected, got } = details ?? {}
  const isEmpty = [field, input, expected, got].every((value) => value === undefined)
  return isEmpty ? undefined : { field, input, expected, got }
}

function encode(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value), 'utf8')
}

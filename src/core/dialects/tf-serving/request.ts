/** Predict requests of TensorFlow Serving: https://github.com/tensorflow/serving/blob/master/tensorflow_serving/g3doc/api_rest.md */

import { ModelmountError } from '../../errors.ts'
import { checkInputs, inputFault, kindOf, mismatch, quote, shorten, type Vocabulary } from '../../tensor/index.ts'
import type { ModelSignature, Tensor, ValueInfo } from '../../tensor/types.ts'
import { bigIntegerAdvice, readJsonObject } from '../codec/body.ts'
import { invalid, isObject, type Json, leaveOutNulls, optional } from '../codec/fields.ts'
import type { Decoder } from '../operation.ts'
import { decodeStrings } from './strings.ts'

/** `row` is a list of `instances`, `column` names whole tensors in `inputs`; the answer has the same form. */
export type PredictForm = 'row' | 'column'

export interface TfPredictRequest {
  readonly form: PredictForm
  /** Null-prototype object, input name -> tensor that fits the signature. */
  readonly inputs: Record<string, Tensor>
}

/** The one signature of a model that is not TensorFlow's. */
export const SIGNATURE = 'serving_default'

/**
 * @throws ModelmountError `REQUEST_INVALID` for a body of another form, `INPUT_INVALID` for inputs that do not fit the model
 */
export function decodeTfPredict(
  body: unknown,
  signature: ModelSignature,
  opts: { readonly maxElements: number },
): TfPredictRequest {
  const { json, isRaw } = readJsonObject(body, signature, opts)
  const name = optional(json.signature_name)
  const instances = optional(json.instances)
  const inputs = optional(json.inputs)
  if (name !== undefined && name !== '' && name !== SIGNATURE)
    throw invalid('signature_name', `'${SIGNATURE}', the only one of an ONNX model`, name)
  if ((instances === undefined) === (inputs === undefined)) {
    const got = instances === undefined ? 'neither' : 'both'
    throw new ModelmountError('REQUEST_INVALID', `the request must have either instances or inputs, and has ${got}`, {
      details: { field: 'instances', expected: 'either instances or inputs', got },
    })
  }
  const form = inputs === undefined ? 'row' : 'column'
  const field = form === 'row' ? 'instances' : 'inputs'
  const values = form === 'row' ? readInstances(instances, signature) : readColumns(inputs, signature)
  const isNamed =
    form === 'column' ? isNamedColumns(inputs, signature) : isObjectOfNames((instances as readonly unknown[])[0], signature)
  const vocabulary: Vocabulary = {
    typeName: (type) => type,
    pathOf: (input) => (isNamed && form === 'column' ? `${field}[${quote(input)}]` : field),
    fields: { type: 'type', dims: 'dims', data: 'data' },
    nestedOnly: true,
    elements: { json: true, bigIntegerAdvice: bigIntegerAdvice(isRaw) },
  }
  for (const info of signature.inputs)
    if (info.type === 'string' && values[info.name] !== undefined)
      values[info.name] = decodeStrings(values[info.name], info.name, vocabulary.pathOf(info.name))
  return { form, inputs: checkInputs(signature, values, { maxElements: opts.maxElements, vocabulary }) }
}

export const PREDICT: Decoder<TfPredictRequest> = { name: 'tfPredict', decode: decodeTfPredict }

type Values = Record<string, unknown>

const isNeeded = ({ optional }: ValueInfo): boolean => optional !== true

/** An object that names inputs. `{ "b64": … }` is a value, unless the model has an input of that name and nothing else is possible. */
function isObjectOfNames(value: unknown, { inputs }: ModelSignature): value is Json {
  if (!isObject(value)) return false
  const keys = Object.keys(value)
  return !(keys.length === 1 && keys[0] === 'b64' && inputs.length === 1)
}

const isNamedColumns = isObjectOfNames

function readColumns(inputs: unknown, signature: ModelSignature): Values {
  const values: Values = Object.create(null)
  if (isObjectOfNames(inputs, signature)) {
    // Names that the model does not know are passed over, as TensorFlow Serving does.
    for (const { name } of signature.inputs) if (Object.hasOwn(inputs, name)) values[name] = inputs[name]
    return values
  }
  values[onlyInput(signature, 'inputs').name] = inputs
  return values
}

function readInstances(instances: unknown, signature: ModelSignature): Values {
  if (!Array.isArray(instances) || instances.length === 0)
    throw invalid('instances', 'an array with at least one item', instances)
  const values: Values = Object.create(null)
  if (!isObjectOfNames(instances[0], signature)) {
    const stranger = instances.findIndex((item) => isObjectOfNames(item, signature))
    if (stranger !== -1) throw mixed(stranger, 'an object')
    values[onlyInput(signature, 'instances').name] = instances
    return values
  }
  const names = Object.keys(instances[0])
  for (const name of names)
    if (!signature.inputs.some((info) => info.name === name)) throw unknownInput(name, signature, 'instances[0]')
  for (const { name } of signature.inputs.filter(isNeeded)) if (!names.includes(name)) throw missing(name, 'instances[0]')
  for (const name of names) values[name] = new Array(instances.length)
  for (const [i, item] of instances.entries()) {
    if (!isObjectOfNames(item, signature)) throw mixed(i, kindOf(item))
    for (const name of names) {
      if (!Object.hasOwn(item, name)) throw missing(name, `instances[${i}]`)
      ;(values[name] as unknown[])[i] = item[name]
    }
    const extra = Object.keys(item).find((name) => !names.includes(name))
    if (extra !== undefined) throw unknownInput(extra, signature, `instances[${i}]`)
  }
  leaveOutNulls(values, signature)
  return values
}

function onlyInput({ inputs }: ModelSignature, field: string): ValueInfo {
  const [info] = inputs
  if (info && inputs.length === 1) return info
  const names = inputs.map(({ name }) => quote(name)).join(', ') || 'none'
  const expected = field === 'instances' ? 'objects of input name -> value' : 'an object of input name -> tensor'
  throw new ModelmountError('REQUEST_INVALID', `${field} must be ${expected}: the inputs of the model are ${names}`, {
    details: { field, expected, got: 'values without a name' },
  })
}

function mixed(index: number, got: string): ModelmountError {
  const field = `instances[${index}]`
  const expected = 'the same form as the first item'
  return new ModelmountError('REQUEST_INVALID', `${field} must have ${expected}, got ${got}`, {
    details: { field, expected, got },
  })
}

function missing(input: string, field: string): ModelmountError {
  return inputFault(`input ${quote(input)} is missing in ${field}`, { input, field, expected: 'a value', got: 'nothing' })
}

function unknownInput(name: string, { inputs }: ModelSignature, field: string): ModelmountError {
  const expected = inputs.map((info) => quote(info.name)).join(', ')
  return mismatch(shorten(name), field, `only the inputs ${expected}`, quote(name))
}

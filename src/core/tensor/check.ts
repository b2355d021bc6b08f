/** Checks a request's inputs against the model's signature before anything is queued. */

import { ModelmountError } from '../errors.ts'
import { toTensor } from './convert.ts'
import { formatShape } from './dims.ts'
import { kindOf } from './elements.ts'
import type { ModelSignature, Tensor, ValueInfo } from './types.ts'
import { inputFault, javascript, quote, shorten, type Vocabulary } from './vocabulary.ts'

/** The place where a symbolic dim was first seen. */
interface Binding {
  readonly size: number
  readonly input: string
}

/**
 * Turns the inputs of one request into tensors that fit the model's signature.
 * Typed arrays become views of the caller's memory, everything else fresh arrays. The caller's values are never changed.
 * An input whose value is `undefined` counts as left out, and so does an optional one whose value is `null`.
 * @param inputs plain object, input name -> TensorLike; only own enumerable keys count
 * @param opts.maxElements largest number of elements of one input
 * @param opts.vocabulary words for faults and rules for elements. @default those of `predict()`
 * @returns null-prototype object, input name -> tensor, in the signature's order
 * @throws ModelmountError `INPUT_INVALID`, with `field`, `input`, `expected` and `got` in its details; never with a tensor value
 */
export function checkInputs(
  signature: ModelSignature,
  inputs: Readonly<Record<string, unknown>>,
  opts: { readonly maxElements: number; readonly vocabulary?: Vocabulary },
): Record<string, Tensor> {
  const vocabulary = opts.vocabulary ?? javascript
  refuseStrangers(signature, inputs, vocabulary)
  const tensors: Record<string, Tensor> = Object.create(null)
  const bindings = new Map<string, Binding>()
  for (const info of signature.inputs) {
    const value = Object.hasOwn(inputs, info.name) ? inputs[info.name] : undefined
    if (value === null && info.optional === true) continue
    if (value === undefined) {
      if (info.optional === true) continue
      throw inputFault(`input ${quote(info.name)} is missing`, {
        input: info.name,
        field: vocabulary.pathOf(info.name),
        expected: describeInput(info, vocabulary),
        got: 'nothing',
      })
    }
    const tensor = toTensor(info, value, opts.maxElements, vocabulary)
    bindSymbols(info, tensor.dims, bindings, vocabulary)
    tensors[info.name] = tensor
  }
  return tensors
}

function refuseStrangers(
  signature: ModelSignature,
  inputs: unknown,
  vocabulary: Vocabulary,
): asserts inputs is Readonly<Record<string, unknown>> {
  if (!isPlainObject(inputs)) {
    const got =
      typeof inputs === 'object' && inputs !== null && !Array.isArray(inputs) ? 'an object of another kind' : kindOf(inputs)
    throw new ModelmountError('INPUT_INVALID', `inputs must be a plain object of input name -> value, got ${got}`, {
      details: { field: 'inputs', expected: 'a plain object', got },
    })
  }
  for (const name of Object.keys(inputs)) {
    if (signature.inputs.some((info) => info.name === name)) continue
    const expected = signature.inputs.map((info) => quote(info.name)).join(', ') || 'no inputs'
    throw inputFault(`unknown input ${quote(name)}; the model takes ${expected}`, {
      input: shorten(name),
      field: shorten(vocabulary.pathOf(name)),
      expected,
      got: quote(name),
    })
  }
}

/** True for literals, objects without inherited names, and literals of another realm; false for Map, promises and class instances. */
function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  // Every realm has its own Object.prototype, and each owns this method.
  if (prototype === null || prototype === Object.prototype || Object.hasOwn(prototype as object, 'isPrototypeOf')) return true
  // The outputs of another prediction.
  return Object.getPrototypeOf(prototype) === null && Reflect.ownKeys(prototype as object).length === 0
}

function bindSymbols(info: ValueInfo, dims: readonly number[], bindings: Map<string, Binding>, vocabulary: Vocabulary): void {
  for (const [i, size] of dims.entries()) {
    const symbol = info.dims?.[i]
    if (typeof symbol !== 'string') continue
    const bound = bindings.get(symbol)
    if (bound === undefined) {
      bindings.set(symbol, { size, input: info.name })
    } else if (bound.size !== size) {
      const sentence = `symbol ${quote(symbol)} is ${bound.size} in input ${bound.input} and ${size} in input ${info.name}`
      const field = vocabulary.pathOf(info.name)
      throw inputFault(sentence, { input: info.name, field, expected: `${symbol} = ${bound.size}`, got: `${symbol} = ${size}` })
    }
  }
}

function describeInput(info: ValueInfo, vocabulary: Vocabulary): string {
  const type = info.type === undefined ? info.declaredType : vocabulary.typeName(info.type)
  return info.dims === undefined ? type : `${type} ${formatShape(info.dims)}`
}

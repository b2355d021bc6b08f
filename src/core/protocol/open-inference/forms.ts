/** How each output of an answer is to be written: as JSON or as raw bytes, whole or as its top classes. */

import { ModelmountError } from '../../errors.ts'
import { DTYPES, quote } from '../../tensor/index.ts'
import type { ModelSignature, ValueInfo } from '../../types.ts'
import { invalid, isObject, readCount, readFlag, readParameters, refuseParameters } from '../fields.ts'

export interface Form {
  readonly binary: boolean
  /** How many classes to name instead of the tensor; 0 for the tensor itself. */
  readonly classes: number
}

/** The form of an output by its name. */
export type Forms = (output: string) => Form

const JSON_FORM: Form = { binary: false, classes: 0 }
const BINARY_FORM: Form = { binary: true, classes: 0 }

export const ALL_JSON: Forms = () => JSON_FORM
export const ALL_BINARY: Forms = () => BINARY_FORM

/** Triton's bound on `classification`. */
const MAX_CLASSES = 1_000_000

/**
 * The outputs that a request asks for; an empty list asks for all, as with Triton.
 * @param binaryDefault the request's `binary_data_output`. As documented, it holds wherever an output does not say `binary_data` itself;
 *   Triton applies it only to outputs that are not listed, which no known client can tell: they say it of each.
 */
export function readOutputs(
  outputs: unknown,
  signature: ModelSignature,
  binaryDefault: boolean | undefined,
): { readonly outputs?: readonly string[]; readonly forms?: Forms } {
  const otherwise = binaryDefault ? BINARY_FORM : JSON_FORM
  if (outputs === undefined) return { forms: () => otherwise }
  if (!Array.isArray(outputs)) throw invalid('outputs', 'an array', outputs)
  const forms = new Map<string, Form>()
  for (const [i, output] of outputs.entries()) {
    const path = `outputs[${i}]`
    if (!isObject(output)) throw invalid(path, 'an object', output)
    const { name } = output
    if (typeof name !== 'string') throw invalid(`${path}.name`, 'a string', name)
    const info = signature.outputs.find((known) => known.name === name)
    if (!info) throw unknownOutput(name, `${path}.name`, signature)
    if (forms.has(name)) {
      throw new ModelmountError('REQUEST_INVALID', `output ${quote(name)} is asked for twice`, {
        details: { field: `${path}.name` },
      })
    }
    forms.set(name, readForm(output.parameters, `${path}.parameters`, info, otherwise))
  }
  return { outputs: forms.size === 0 ? undefined : [...forms.keys()], forms: (output) => forms.get(output) ?? otherwise }
}

function readForm(given: unknown, path: string, info: ValueInfo, otherwise: Form): Form {
  if (given === undefined) return otherwise
  const parameters = readParameters(given, path)
  refuseParameters(parameters, path, ['shared_memory_region'])
  const binary = readFlag(parameters, 'binary_data', path) ?? otherwise.binary
  const classes = readCount(parameters, 'classification', path) ?? 0
  if (classes > MAX_CLASSES) throw invalid(`${path}.classification`, `at most ${MAX_CLASSES}`, 'more')
  if (classes > 0 && !hasOrder(info)) {
    const got = `${info.name} of type ${info.type}`
    throw invalid(`${path}.classification`, 'asked of an output of integers, FP32 or FP64', got)
  }
  return { binary, classes }
}

/** Types that Triton ranks too. */
const hasOrder = ({ type }: ValueInfo): boolean =>
  type !== undefined && (DTYPES[type].isInteger || type === 'float32' || type === 'float64')

function unknownOutput(name: string, field: string, signature: ModelSignature): ModelmountError {
  const expected = signature.outputs.map((info) => quote(info.name)).join(', ')
  const details = { field, expected, got: quote(name) }
  return new ModelmountError('OUTPUT_NOT_FOUND', `unknown output ${quote(name)}; the model has ${expected}`, { details })
}

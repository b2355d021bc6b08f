/** How each output of an answer is to be written: as JSON or as raw bytes, whole or as its top classes. */

import { ModelmountError } from '../../errors.ts'
import { DTYPES, product, quote } from '../../tensor/index.ts'
import type { ModelSignature, Tensor, ValueInfo } from '../../tensor/types.ts'
import { invalid, isObject, optional, readCount, readFlag, readParameters, refuseParameters } from '../codec/fields.ts'

export interface Form {
  readonly binary: boolean
  /** How many classes to name instead of the tensor; 0 for the tensor itself. */
  readonly classes: number
}

/** The forms of all outputs: data, so that they can come from another thread. */
export interface Forms {
  readonly named: ReadonlyMap<string, Form>
  /** Of every output that is not named. */
  readonly otherwise: Form
}

export const formOf = ({ named, otherwise }: Forms, output: string): Form => named.get(output) ?? otherwise

const JSON_FORM: Form = { binary: false, classes: 0 }
const BINARY_FORM: Form = { binary: true, classes: 0 }

export const ALL_JSON: Forms = { named: new Map(), otherwise: JSON_FORM }
export const ALL_BINARY: Forms = { named: new Map(), otherwise: BINARY_FORM }

/**
 * The outputs that a request asks for; an empty list asks for all, as with Triton.
 * @param binaryDefault the request's `binary_data_output`. As documented, it holds wherever an output does not say `binary_data` itself;
 *   Triton applies it only to outputs that are not listed, which no known client can tell: they say it of each.
 */
export function readOutputs(
  outputs: unknown,
  signature: ModelSignature,
  binaryDefault: boolean | undefined,
): { readonly outputs?: readonly string[]; readonly forms: Forms } {
  const otherwise = binaryDefault ? BINARY_FORM : JSON_FORM
  if (outputs === undefined) return { forms: binaryDefault ? ALL_BINARY : ALL_JSON }
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
    forms.set(name, readForm(optional(output.parameters), `${path}.parameters`, info, otherwise))
  }
  return { outputs: forms.size === 0 ? undefined : [...forms.keys()], forms: { named: forms, otherwise } }
}

function readForm(given: unknown, path: string, info: ValueInfo, otherwise: Form): Form {
  if (given === undefined) return otherwise
  const parameters = readParameters(given, path)
  refuseParameters(parameters, path, ['shared_memory_region'])
  const binary = readFlag(parameters, 'binary_data', path) ?? otherwise.binary
  const classes = readCount(parameters, 'classification', path) ?? 0
  if (classes > MOST_LABELS) throw tooManyLabels(`${path}.classification`, classes)
  if (classes > 0 && !hasOrder(info)) {
    const got = `${info.name} of type ${info.type}`
    throw invalid(`${path}.classification`, 'asked of an output of integers, FP32 or FP64', got)
  }
  return { binary, classes }
}

/** Labels of one answer, all outputs and rows together. Triton's bound is a million of one output. */
const MOST_LABELS = 2 ** 16

function tooManyLabels(field: string, count: number): ModelmountError {
  const expected = `at most ${MOST_LABELS} labels for all rows together`
  return new ModelmountError('REQUEST_INVALID', `${field} must ask for ${expected}, got ${count}`, {
    details: { field, expected, got: `${count}` },
  })
}

/** True for outputs whose first dimension counts rows, each with classes of its own. */
export const hasRows = (dims: readonly unknown[], declared: ValueInfo['dims']): boolean =>
  dims.length >= 2 && typeof declared?.[0] !== 'number'

/**
 * Refuses before the run what would be too many labels after it, as far as the shapes tell.
 * @throws ModelmountError `REQUEST_INVALID`
 */
export function refuseLabels({ named }: Forms, signature: ModelSignature, inputs: Readonly<Record<string, Tensor>>): void {
  let labels = 0
  for (const [name, { classes }] of named) {
    if (classes === 0) continue
    const dims = signature.outputs.find((info) => info.name === name)?.dims
    if (!dims) continue
    const isInRows = hasRows(dims, dims)
    const inner = isInRows ? dims.slice(1) : dims
    const width = inner.every((dim) => typeof dim === 'number') ? product(inner) : 1
    labels += Math.min(classes, width) * (isInRows ? rowsOf(signature, inputs) : 1)
  }
  if (labels > MOST_LABELS) throw tooManyLabels('outputs', labels)
}

function rowsOf({ inputs: declared }: ModelSignature, inputs: Readonly<Record<string, Tensor>>): number {
  const inRows = declared.filter(({ dims }) => dims !== undefined && dims.length > 0 && typeof dims[0] !== 'number')
  return Math.max(1, ...inRows.map(({ name }) => inputs[name]?.dims[0] ?? 1))
}

/**
 * The same after the run, exactly.
 * @throws ModelmountError `REQUEST_INVALID`
 */
export function refuseLabelCount(labels: number): void {
  if (labels > MOST_LABELS) throw tooManyLabels('outputs', labels)
}

/** Types that Triton ranks too. */
const hasOrder = ({ type }: ValueInfo): boolean => type !== undefined && (DTYPES[type].isInteger || DTYPES[type].kind === 'float')

function unknownOutput(name: string, field: string, signature: ModelSignature): ModelmountError {
  const left = signature.leftOut?.find((output) => output.name === name)
  if (left) {
    const details = { field, got: quote(name), type: left.declaredType }
    return new ModelmountError('OUTPUT_NOT_FOUND', `output ${quote(name)} is not served: ${left.reason}`, { details })
  }
  const expected = signature.outputs.map((info) => quote(info.name)).join(', ')
  const details = { field, expected, got: quote(name) }
  return new ModelmountError('OUTPUT_NOT_FOUND', `unknown output ${quote(name)}; the model has ${expected}`, { details })
}

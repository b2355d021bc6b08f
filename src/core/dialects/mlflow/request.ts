/** Requests to `/invocations`: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally */

import { ModelmountError } from '../../errors.ts'
import { checkInputs, kindOf, quote, type Vocabulary } from '../../tensor/index.ts'
import type { ModelSignature, Tensor } from '../../tensor/types.ts'
import { bigIntegerAdvice, readJsonObject } from '../codec/body.ts'
import { invalid, isObject, type Json, leaveOutNulls, optional } from '../codec/fields.ts'
import type { Decoder } from '../operation.ts'
import { csvCell, jsonCell, MISSING_FIELD } from './cells.ts'
import { readCsv } from './csv.ts'
import { type Frame, inputsOf } from './frame.ts'

export interface InvocationRequest {
  /** Null-prototype object, input name -> tensor that fits the signature. */
  readonly inputs: Record<string, Tensor>
  /** Tables are answered with records, tensors with tensors. */
  readonly isTable: boolean
}

const FORMATS = ['dataframe_split', 'dataframe_records', 'instances', 'inputs'] as const

/**
 * @param mediaType decides between CSV and JSON
 * @throws ModelmountError `REQUEST_INVALID`, `INPUT_INVALID`
 */
export function decodeInvocation(
  body: unknown,
  mediaType: 'json' | 'csv',
  signature: ModelSignature,
  opts: { readonly maxElements: number },
): InvocationRequest {
  if (mediaType === 'csv') {
    if (typeof body !== 'string' && !(body instanceof Uint8Array))
      throw new ModelmountError('REQUEST_INVALID', 'the request body is empty')
    const { columns, rows } = readCsv(body)
    return check({ field: 'rows', columns, rows, cell: csvCell }, true)
  }

  const { json, isRaw } = readJsonObject(body, signature, opts)
  const given = FORMATS.filter((format) => optional(json[format]) !== undefined)
  const [format] = given
  if (!format || given.length > 1) {
    const expected = `exactly one of ${FORMATS.join(', ')}`
    const got = given.join(', ') || 'none of them'
    throw new ModelmountError('REQUEST_INVALID', `the request must have ${expected}, got ${got}`, {
      details: { field: 'body', expected, got },
    })
  }
  const params = optional(json.params) ?? {}
  if (!isObject(params)) throw invalid('params', 'an object', params)
  if (format === 'dataframe_split') return check(splitFrame(json[format]), isRaw)
  if (format === 'dataframe_records') return check(recordFrame(json[format]), isRaw)
  const values = format === 'instances' ? readInstances(json[format], signature) : readColumns(json[format], signature)
  return { isTable: false, inputs: checked(values, format, isRaw) }

  function check(frame: Frame, isExact: boolean): InvocationRequest {
    return { isTable: true, inputs: checked(inputsOf(frame, signature), frame.field, isExact) }
  }

  function checked(values: Record<string, unknown>, field: string, isExact: boolean): Record<string, Tensor> {
    const vocabulary: Vocabulary = {
      typeName: (type) => type,
      pathOf: (input) => (signature.inputs.length > 1 ? `${field}[${quote(input)}]` : field),
      fields: { type: 'type', dims: 'dims', data: 'data' },
      nestedOnly: true,
      elements: {
        json: true,
        bigIntegerAdvice: bigIntegerAdvice(isExact),
        ...(mediaType === 'csv' ? { nothing: MISSING_FIELD } : {}),
      },
    }
    return checkInputs(signature, values, { maxElements: opts.maxElements, vocabulary })
  }
}

export const INVOCATION: Decoder<InvocationRequest> = {
  name: 'invocation',
  decode: (body, signature, opts) => decodeInvocation(body, opts.mediaType ?? 'json', signature, opts),
}

// ---------------------------------------------------------------- tables

function splitFrame(split: unknown): Frame {
  const field = 'dataframe_split'
  if (!isObject(split)) throw invalid(field, 'an object with data', split)
  const { data } = split
  const columns = optional(split.columns)
  const names = columns === undefined ? undefined : readColumnNames(columns, `${field}.columns`)
  if (!Array.isArray(data)) throw invalid(`${field}.data`, 'an array of rows', data)
  const rows = data.map((row: unknown, i) => {
    if (!Array.isArray(row)) throw invalid(`${field}.data[${i}]`, 'an array', row)
    const width = names?.length ?? (data[0] as readonly unknown[]).length
    if (row.length === width) return row as readonly unknown[]
    const [expected, got] = [`${width} values`, `${row.length}`]
    throw new ModelmountError('REQUEST_INVALID', `${field}.data[${i}] must have ${expected}, got ${got}`, {
      details: { field: `${field}.data[${i}]`, expected, got },
    })
  })
  return { field, columns: names, rows, cell: jsonCell }
}

/** Pandas takes numbers as names too. */
function readColumnNames(columns: unknown, field: string): readonly string[] {
  if (!Array.isArray(columns)) throw invalid(field, 'an array of names', columns)
  return columns.map((name: unknown, i) => {
    if (typeof name !== 'string' && typeof name !== 'number') throw invalid(`${field}[${i}]`, 'a name', name)
    return String(name)
  })
}

function recordFrame(records: unknown): Frame {
  const field = 'dataframe_records'
  if (!Array.isArray(records)) throw invalid(field, 'an array of objects', records)
  const names = new Set<string>()
  for (const [i, record] of records.entries()) {
    if (!isObject(record)) throw invalid(`${field}[${i}]`, 'an object', record)
    for (const name of Object.keys(record)) names.add(name)
  }
  const columns = [...names]
  // A table of every name by every record could be far larger than what was sent.
  if (columns.length > 1 && records.length * columns.length > MOST_SPARSE_CELLS + countCells(records))
    throw new ModelmountError('REQUEST_INVALID', `${field} has too many columns that most records lack`, { details: { field } })
  const rows = records.map((record: Json) => columns.map((name) => (Object.hasOwn(record, name) ? record[name] : undefined)))
  return { field, columns, rows, cell: jsonCell }
}

const MOST_SPARSE_CELLS = 1_000_000

const countCells = (records: readonly Json[]): number => records.reduce((sum, record) => sum + 2 * Object.keys(record).length, 0)

// ---------------------------------------------------------------- tensors

function readInstances(instances: unknown, signature: ModelSignature): Record<string, unknown> {
  if (!Array.isArray(instances) || instances.length === 0)
    throw invalid('instances', 'an array with at least one item', instances)
  const [first] = instances
  if (!isObject(first)) return { [onlyInput(signature, 'instances')]: instances }
  const values: Record<string, unknown[]> = Object.create(null)
  const names = Object.keys(first)
  for (const name of names) values[name] = new Array(instances.length)
  for (const [i, item] of instances.entries()) {
    const path = `instances[${i}]`
    if (!isObject(item)) throw invalid(path, 'an object, as the first item is one', item)
    if (Object.keys(item).length !== names.length) throw invalid(path, 'an object with the names of the first item', item)
    for (const name of names) {
      if (!Object.hasOwn(item, name)) throw invalid(`${path}[${quote(name)}]`, 'a value', undefined)
      ;(values[name] as unknown[])[i] = item[name]
    }
  }
  leaveOutNulls(values, signature)
  return values
}

function readColumns(inputs: unknown, signature: ModelSignature): Record<string, unknown> {
  if (isObject(inputs)) return { ...inputs }
  return { [onlyInput(signature, 'inputs')]: inputs }
}

function onlyInput({ inputs }: ModelSignature, field: string): string {
  const [info] = inputs
  if (info && inputs.length === 1) return info.name
  const names = inputs.map(({ name }) => quote(name)).join(', ') || 'none'
  const expected = 'objects that name the inputs'
  throw new ModelmountError('REQUEST_INVALID', `${field} must be ${expected}: the model has ${names}`, {
    details: { field, expected, got: kindOf([]) },
  })
}

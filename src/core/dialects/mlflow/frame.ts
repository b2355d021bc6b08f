/**
 * Tables as model inputs, as MLflow feeds them to ONNX models: all columns of a table are the one input of a model, or each input is the column of
 * its name. https://github.com/mlflow/mlflow/blob/master/mlflow/onnx/__init__.py
 */

import { ModelmountError } from '../../errors.ts'
import { inputFault, quote } from '../../tensor/index.ts'
import type { DType, ModelSignature, ValueInfo } from '../../tensor/types.ts'

export interface Frame {
  /** Where it stands in the request. */
  readonly field: string
  /** Absent for rows without names. */
  readonly columns: readonly string[] | undefined
  readonly rows: readonly (readonly unknown[])[]
  /** A cell as a JSON value of the type that the model wants. */
  cell(value: unknown, type: DType | undefined): unknown
}

/** @throws ModelmountError `INPUT_INVALID` when an input has no column, `REQUEST_INVALID` for columns without names where names are needed */
export function inputsOf(frame: Frame, { inputs }: ModelSignature): Record<string, unknown> {
  const values: Record<string, unknown> = Object.create(null)
  const [only] = inputs
  if (only && inputs.length === 1) values[only.name] = matrixOf(frame, only)
  else for (const info of inputs) values[info.name] = columnOf(frame, info)
  return values
}

function matrixOf({ rows, cell }: Frame, { type, dims }: ValueInfo): unknown[] {
  const isList = dims?.length === 1 && rows.every((row) => row.length === 1)
  return isList ? rows.map(([value]) => cell(value, type)) : rows.map((row) => row.map((value) => cell(value, type)))
}

function columnOf({ columns, rows, field, cell }: Frame, { name, type, dims, optional }: ValueInfo): unknown[] | undefined {
  if (!columns) {
    throw new ModelmountError('REQUEST_INVALID', `${field} must name its columns: the model has several inputs`, {
      details: { field: `${field}.columns`, expected: 'names of inputs', got: 'nothing' },
    })
  }
  const index = columns.indexOf(name)
  if (index === -1) {
    if (optional === true) return undefined
    throw inputFault(`input ${quote(name)} has no column in ${field}`, { input: name, field, expected: 'a column', got: 'none' })
  }
  if (columns.lastIndexOf(name) !== index)
    throw inputFault(`input ${quote(name)} has two columns in ${field}`, {
      input: name,
      field,
      expected: 'one column',
      got: 'two',
    })
  // In each row, so that it is left out.
  if (optional === true && rows.every((row) => row[index] === null)) return undefined
  // A column is a list; a model with a dimension of rows before one of width 1, which exporters of tables like, gets it as such.
  const isColumn = dims?.length === 2
  return rows.map((row) => {
    const value = cell(row[index], type)
    return isColumn && !Array.isArray(value) ? [value] : value
  })
}

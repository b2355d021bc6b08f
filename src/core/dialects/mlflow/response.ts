/** Answers of `/invocations`, as MLflow's ONNX flavour gives them, and its errors. */

import { ModelmountError } from '../../errors.ts'
import { quote } from '../../tensor/index.ts'
import type { Result } from '../codec/result.ts'
import { createTextSink, type Steps, writeString } from '../codec/write-json.ts'
import { type NestedStyle, writeNested } from '../codec/write-nested.ts'

const STYLE: NestedStyle = { shortFloats: false, text: (value) => JSON.stringify(value), longText: writeString }

/**
 * Tensors: `{ predictions: { output: nested, … } }`. Tables: `{ predictions: [{ output: value, … }, …] }`, each output laid flat as one column.
 * @throws ModelmountError `REQUEST_INVALID` for tables of outputs of different lengths
 */
export function* encodeInvocation({ outputs }: Result, isTable: boolean): Steps<readonly Uint8Array[]> {
  const named = Object.entries(outputs)
  const sink = createTextSink()
  sink.write('{"predictions":')
  if (isTable) yield* writeRecords(named)
  else {
    sink.write('{')
    for (const [i, [name, tensor]] of named.entries()) {
      sink.write(`${i > 0 ? ',' : ''}${JSON.stringify(name)}:`)
      yield* writeNested(tensor, sink, STYLE)
    }
    sink.write('}')
  }
  sink.write('}')
  return sink.finish()

  function* writeRecords(columns: typeof named): Steps<void> {
    const flat = columns.map(([name, tensor]) => ({
      key: JSON.stringify(name),
      column: { ...tensor, dims: [tensor.data.length] },
    }))
    const rows = flat[0]?.column.data.length ?? 0
    const odd = columns.find(([, { data }]) => data.length !== rows)
    if (odd) {
      const message = `output ${quote(odd[0])} has ${odd[1].data.length} elements and the first output ${rows}, so they are no table; ask with inputs`
      throw new ModelmountError('REQUEST_INVALID', message, { details: { field: 'body', expected: 'inputs or instances' } })
    }
    sink.write('[')
    for (let row = 0; row < rows; row++) {
      sink.write(row > 0 ? ',{' : '{')
      for (const [i, { key, column }] of flat.entries()) {
        sink.write(`${i > 0 ? ',' : ''}${key}:`)
        yield* writeNested(column, sink, STYLE, row)
      }
      sink.write('}')
      const slice = sink.due()
      if (slice > 0) yield slice
    }
    sink.write(']')
  }
}

/** MLflow's names for what HTTP says in numbers. */
const CODES: Readonly<Record<number, string>> = {
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'RESOURCE_DOES_NOT_EXIST',
  429: 'RESOURCE_EXHAUSTED',
  499: 'CANCELLED',
  503: 'TEMPORARILY_UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
}

/** The body of every failed call; never with a stack trace. */
export function encodeMlflowError({ status, code, message }: ModelmountError): Uint8Array {
  const name =
    code === 'ROUTE_NOT_FOUND' ? 'ENDPOINT_NOT_FOUND' : (CODES[status] ?? (status < 500 ? 'BAD_REQUEST' : 'INTERNAL_ERROR'))
  return Buffer.from(JSON.stringify({ error_code: name, message, code }), 'utf8')
}

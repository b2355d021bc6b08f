/** Answers to predict requests, nested as TensorFlow Serving writes them. */

import { ModelmountError } from '../../errors.ts'
import { formatShape, quote } from '../../tensor/index.ts'
import type { Tensor } from '../../tensor/types.ts'
import type { Result } from '../codec/result.ts'
import { createTextSink, type Steps, stretchesOf, type TextSink, writeString } from '../codec/write-json.ts'
import { type NestedStyle, writeNested } from '../codec/write-nested.ts'
import type { PredictForm } from './request.ts'

const PLAIN: NestedStyle = { shortFloats: true, text: (value) => JSON.stringify(value), longText: writeString }
const BASE64: NestedStyle = {
  shortFloats: true,
  text: (value) => `{"b64":"${Buffer.from(value, 'utf8').toString('base64')}"}`,
  longText: writeBase64,
}

/** Three bytes are four characters; the bytes that are left go with the next ones. */
function* writeBase64(value: string, sink: TextSink): Steps<void> {
  sink.write('{"b64":"')
  let left = Buffer.alloc(0)
  for (const stretch of stretchesOf(value)) {
    const bytes = Buffer.concat([left, Buffer.from(stretch, 'utf8')])
    const end = bytes.length - (bytes.length % 3)
    sink.write(bytes.toString('base64', 0, end))
    left = bytes.subarray(end)
    const slice = sink.due()
    if (slice > 0) yield slice
  }
  sink.write(`${left.toString('base64')}"}`)
}

/** TensorFlow Serving's own rule: the name says that the strings are bytes. */
const styleOf = (output: string): NestedStyle => (output.endsWith('_bytes') ? BASE64 : PLAIN)

/**
 * Rows: `{ predictions: [item, …] }`; columns: `{ outputs: … }`. The name of a single output is left out.
 * @throws ModelmountError `REQUEST_INVALID` for rows of outputs that do not have one item for each
 */
export function* encodeTfPredict({ outputs }: Result, form: PredictForm): Steps<readonly Uint8Array[]> {
  const named = Object.entries(outputs)
  const sink = createTextSink()
  /** All outputs, at one row or whole. */
  function* write(index?: number): Steps<void> {
    if (named.length > 1) sink.write('{')
    for (const [i, [name, tensor]] of named.entries()) {
      if (named.length > 1) sink.write(`${i > 0 ? ',' : ''}${JSON.stringify(name)}:`)
      yield* writeNested(tensor, sink, styleOf(name), index)
    }
    if (named.length > 1) sink.write('}')
  }
  if (form === 'column') {
    sink.write('{"outputs":')
    yield* write()
    sink.write('}')
    return sink.finish()
  }
  const rows = rowsOf(named)
  sink.write('{"predictions":[')
  for (let row = 0; row < rows; row++) {
    if (row > 0) sink.write(',')
    yield* write(row)
    const slice = sink.due()
    if (slice > 0) yield slice
  }
  sink.write(']}')
  return sink.finish()
}

function rowsOf(outputs: readonly (readonly [string, Tensor])[]): number {
  const rows = outputs[0]?.[1].dims[0]
  const odd = outputs.find(([, { dims }]) => dims.length === 0 || dims[0] !== rows)
  if (rows !== undefined && !odd) return rows
  const [name = '', tensor] = odd ?? outputs[0] ?? []
  const got = `shape ${formatShape(tensor?.dims ?? [])}`
  const message = `output ${quote(name)} has ${got}, not a row for each instance; ask in the column form, with inputs`
  throw new ModelmountError('REQUEST_INVALID', message, {
    details: { field: 'instances', expected: `${rows ?? 'any'} rows`, got },
  })
}

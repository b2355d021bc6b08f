/** A field that a request may leave out may also be null: both are the same, in every dialect, for every field. */

import { describe, expect, test } from 'vitest'
import { checkLoadRequest, checkUnloadRequest, readIndexRequest } from '../../../src/core/dialects/open-inference/repository.ts'
import { scheduleOf } from '../../../src/core/dialects/open-inference/schedule.ts'
import { sequenceOf } from '../../../src/core/dialects/open-inference/sequence.ts'
import type { ModelSignature } from '../../../src/core/tensor/types.ts'
import { fault, input } from '../tensor/support.ts'
import { READERS } from './decoders.ts'

const MAX = { maxElements: 1000, maxTextBytes: 2 ** 24 }
const signature: ModelSignature = {
  inputs: [input('x', 'float32', ['N', 2]), input('s', 'string', ['N'], true)],
  outputs: [input('y', 'float32', ['N', 3]), input('z', 'int64', ['N'])],
}
const x = { name: 'x', shape: [1, 2], datatype: 'FP32', parameters: { content_type: 'np' }, data: [1, 2] }

type Reader = (body: unknown) => unknown
const decoder =
  (kind: keyof typeof READERS): Reader =>
  (body) =>
    READERS[kind](Buffer.from(JSON.stringify(body)), signature, MAX)

function inferred(body: unknown): unknown {
  const request = READERS.infer(Buffer.from(JSON.stringify(body)), signature, MAX)
  return { ...request, schedule: scheduleOf(request.parameters), sequence: sequenceOf(request.parameters, true) }
}

function binary(body: unknown): unknown {
  const json = Buffer.from(JSON.stringify(body))
  return READERS.infer(Buffer.concat([json, new Uint8Array(8)]), signature, { ...MAX, headerLength: json.length })
}

/** Every field that a dialect knows, in one request or several. */
const REQUESTS: readonly (readonly [name: string, read: Reader, body: Readonly<Record<string, unknown>>])[] = [
  [
    'infer',
    inferred,
    {
      id: 'a',
      parameters: {
        priority: 1,
        timeout: 5,
        sequence_id: 7,
        sequence_start: true,
        sequence_end: false,
        binary_data_output: true,
        headers: { a: 'b' },
        content_type: 'np',
      },
      inputs: [x, { name: 's', shape: [1], datatype: 'BYTES', parameters: {}, data: ['a'] }],
      outputs: [
        { name: 'y', parameters: { binary_data: true, classification: 2 } },
        { name: 'z', parameters: { shared_memory_size: [1] } },
      ],
      model_name: 'm',
    },
  ],
  [
    'infer, binary',
    binary,
    { inputs: [{ ...x, parameters: { binary_data_size: 8 }, data: undefined }], outputs: [{ name: 'y' }] },
  ],
  [
    'generate',
    decoder('generate'),
    { id: 'a', parameters: { priority: 1, more: {} }, x: [1, 2], s: ['a'], stream: true, stop: [] },
  ],
  ['TensorFlow rows', decoder('tfPredict'), { signature_name: 'serving_default', instances: [{ x: [1, 2], s: 'a' }] }],
  ['TensorFlow columns', decoder('tfPredict'), { signature_name: '', inputs: { x: [[1, 2]], s: ['a'] } }],
  [
    'MLflow split',
    decoder('invocation'),
    { dataframe_split: { columns: ['x', 's'], index: [0], data: [[[1, 2], 'a']] }, params: {} },
  ],
  ['MLflow records', decoder('invocation'), { dataframe_records: [{ x: [1, 2], s: 'a' }], params: { a: 1 } }],
  ['MLflow instances', decoder('invocation'), { instances: [{ x: [1, 2] }], params: { a: 1 } }],
  ['MLflow inputs', decoder('invocation'), { inputs: { x: [[1, 2]], s: ['a'] }, params: { a: 1 } }],
  ['index', readIndexRequest, { ready: true }],
  ['load', checkLoadRequest as Reader, { parameters: {} }],
  ['unload', checkUnloadRequest as Reader, { parameters: { unload_dependents: true } }],
]

type Path = readonly (string | number)[]

/** Members of all objects of a request, except values in rows and records. */
function* membersOf(node: unknown, path: Path = []): Generator<Path> {
  if (typeof node !== 'object' || node === null) return
  for (const [key, value] of Object.entries(node)) {
    const at = [...path, Array.isArray(node) ? Number(key) : key]
    if (!Array.isArray(node)) yield at
    if (!['instances', 'dataframe_records', 'data', 'shape'].includes(key)) yield* membersOf(value, at)
  }
}

function withMember(node: unknown, [key, ...rest]: Path, change: 'null' | 'absent'): unknown {
  if (Array.isArray(node)) return node.map((item, i) => (i === key ? withMember(item, rest, change) : item))
  const { [key as string]: value, ...others } = node as Record<string, unknown>
  if (rest.length > 0) return { ...others, [key as string]: withMember(value, rest, change) }
  return change === 'null' ? { ...others, [key as string]: null } : others
}

function outcomeOf(read: Reader, body: unknown): unknown {
  try {
    return { read: read(body) }
  } catch (error) {
    const { code, details } = error as { code: string; details?: { field?: string } }
    return { code, field: details?.field }
  }
}

const CASES = REQUESTS.flatMap(([name, read, body]) => {
  const plain = JSON.parse(JSON.stringify(body)) as unknown
  return [...membersOf(plain)].map((path) => ({ name: `${name}: ${path.join('.')}`, read, plain, path }))
})

test('all fields are tried', () => {
  expect(CASES.length).toBeGreaterThan(50)
  for (const [name, read, body] of REQUESTS) expect([name, outcomeOf(read, body)]).toEqual([name, { read: read(body) }])
})

test.each(CASES)('$name', ({ read, plain, path }) => {
  expect(outcomeOf(read, withMember(plain, path, 'null'))).toEqual(outcomeOf(read, withMember(plain, path, 'absent')))
})

describe('parameters', () => {
  const infer = (parameters: unknown) => inferred({ inputs: [x], parameters })
  const without = inferred({ inputs: [x] })

  test('objects and lists under names that mean nothing here are passed over', () => {
    expect(infer({ headers: { a: 1 }, tags: [1, [2]], more: {} })).toEqual(without)
    for (const parameters of [{ pandas: { a: [] } }, { content_type: ['np'] }])
      expect(inferred({ inputs: [{ ...x, parameters }] })).toEqual(without)
  })

  test.each(['priority', 'timeout', 'sequence_id', 'sequence_start', 'sequence_end', 'binary_data_output'])(
    '%s is refused as an object',
    (name) => {
      for (const value of [{}, [], [1]])
        expect(fault(() => infer({ [name]: value }))).toMatchObject({
          code: 'REQUEST_INVALID',
          details: { field: `parameters["${name}"]` },
        })
    },
  )

  test.each(['binary_data_size', 'shared_memory_region'])('%s of an input is refused as an object', (name) => {
    expect(fault(() => inferred({ inputs: [{ ...x, parameters: { [name]: {} } }] })).details?.field).toBe(
      `inputs[0].parameters["${name}"]`,
    )
  })

  test.each(['binary_data', 'classification', 'shared_memory_region'])('%s of an output is refused as an object', (name) => {
    expect(fault(() => inferred({ inputs: [x], outputs: [{ name: 'y', parameters: { [name]: {} } }] })).details?.field).toBe(
      `outputs[0].parameters["${name}"]`,
    )
  })

  test('a client that loads a model brings no settings, whatever they are', () => {
    for (const value of ['{}', {}, [], 1, true])
      expect(fault(() => checkLoadRequest({ parameters: { config: value } })).code).toBe('REQUEST_INVALID')
    expect(fault(() => checkUnloadRequest({ parameters: { unload_dependents: {} } })).code).toBe('REQUEST_INVALID')
    expect(fault(() => checkUnloadRequest({ parameters: { more: {} } })).code).toBe('REQUEST_INVALID')
  })
})

describe('an optional input that is null in each row is left out', () => {
  const rows = [{ x: [1, 2] }, { x: [3, 4] }]
  const withNull = rows.map((row) => ({ ...row, s: null }))
  const records = rows.map(() => ({ x: 1 }))
  const table: ModelSignature = {
    ...signature,
    inputs: [input('x', 'float32', ['N'], false), input('s', 'float32', ['N'], true)],
  }
  const decodeTable = (body: unknown): unknown => READERS.invocation(Buffer.from(JSON.stringify(body)), table, MAX)

  test.each([
    ['TensorFlow Serving, instances', decoder('tfPredict'), { instances: rows }, { instances: withNull }],
    ['MLflow, instances', decoder('invocation'), { instances: rows }, { instances: withNull }],
    [
      'MLflow, records',
      decodeTable,
      { dataframe_records: records },
      { dataframe_records: records.map((record) => ({ ...record, s: null })) },
    ],
    [
      'MLflow, split',
      decodeTable,
      { dataframe_split: { columns: ['x'], data: [[1], [2]] } },
      {
        dataframe_split: {
          columns: ['x', 's'],
          data: [
            [1, null],
            [2, null],
          ],
        },
      },
    ],
  ] as const)('%s', (_, read, absent, nothing) => {
    expect(read(nothing)).toEqual(read(absent))
  })

  test('null in some rows is no value', () => {
    const instances = [withNull[0], { x: [3, 4], s: 'a' }]
    expect(fault(() => decoder('tfPredict')({ instances }))).toMatchObject({ code: 'INPUT_INVALID' })
  })
})

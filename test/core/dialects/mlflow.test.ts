/** MLflow's four formats and CSV. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { atOnce } from '../../../src/core/dialects/codec/index.ts'
import { readCsv } from '../../../src/core/dialects/mlflow/csv.ts'
import { decodeInvocation } from '../../../src/core/dialects/mlflow/request.ts'
import { encodeInvocation, encodeMlflowError } from '../../../src/core/dialects/mlflow/response.ts'
import { isModelmountError, ModelmountError } from '../../../src/core/errors.ts'
import type { PredictResult } from '../../../src/core/predict/types.ts'
import type { DType, ModelSignature, Tensor } from '../../../src/core/tensor/types.ts'
import { fault, input } from '../tensor/support.ts'

const limit = { maxElements: 1000 }
const one: ModelSignature = { inputs: [input('x', 'float32', ['N', 2])], outputs: [] }
const list: ModelSignature = { inputs: [input('x', 'float32', ['N'])], outputs: [] }
/** As converters of tabular models write them: one column of one value for each feature. */
const columns: ModelSignature = {
  inputs: [input('age', 'float32', ['N', 1]), input('city', 'string', ['N', 1]), input('n', 'int64', ['N'])],
  outputs: [],
}
const decode = (body: unknown, signature = one) => decodeInvocation(JSON.stringify(body), 'json', signature, limit)
const csv = (text: string, signature = one) => decodeInvocation(Buffer.from(text), 'csv', signature, limit)
const faultOf = (body: unknown, signature = one) => fault(() => decode(body, signature))
const x = { type: 'float32', dims: [2, 2], data: new Float32Array([1, 2, 3, 4]) }
const table = {
  age: { type: 'float32', dims: [2, 1], data: new Float32Array([30.5, Number.NaN]) },
  city: { type: 'string', dims: [2, 1], data: ['Köln', 'a,"b"'] },
  n: { type: 'int64', dims: [2], data: new BigInt64Array([1n, 2n ** 53n + 1n]) },
}

describe('requests', () => {
  test('the four formats, for a model of one input', () => {
    for (const [body, isTable] of [
      [
        {
          dataframe_split: {
            columns: ['a', 'b'],
            data: [
              [1, 2],
              [3, 4],
            ],
            index: [0, 1],
          },
        },
        true,
      ],
      [
        {
          dataframe_split: {
            data: [
              [1, 2],
              [3, 4],
            ],
          },
          params: { anything: 1 },
        },
        true,
      ],
      [
        {
          dataframe_split: {
            columns: [0, 1],
            data: [
              [1, 2],
              [3, 4],
            ],
          },
        },
        true,
      ],
      [
        {
          dataframe_records: [
            { a: 1, b: 2 },
            { b: 4, a: 3 },
          ],
        },
        true,
      ],
      [
        {
          instances: [
            [1, 2],
            [3, 4],
          ],
        },
        false,
      ],
      [{ instances: [{ x: [1, 2] }, { x: [3, 4] }] }, false],
      [
        {
          inputs: [
            [1, 2],
            [3, 4],
          ],
          other: 'dropped',
        },
        false,
      ],
      [
        {
          inputs: {
            x: [
              [1, 2],
              [3, 4],
            ],
          },
        },
        false,
      ],
    ] as const) {
      const request = decode(body)
      expect([{ ...request.inputs }, request.isTable], JSON.stringify(body)).toEqual([{ x }, isTable])
    }
    expect(decode({ dataframe_split: { columns: ['a'], data: [[1], [2]] } }, list).inputs.x?.dims).toEqual([2])
  })

  test('several inputs are columns of their names; others are passed over', () => {
    const records = '[{"age":30.5,"city":"Köln","n":1,"more":0},{"age":null,"city":"a,\\"b\\"","n":9007199254740993,"more":0}]'
    expect({ ...decodeInvocation(`{"dataframe_records":${records}}`, 'json', columns, limit).inputs }).toEqual(table)
    const split = '{"columns":["n","age","city"],"data":[[1,30.5,"Köln"],[9007199254740993,"NaN","a,\\"b\\""]]}'
    expect({ ...decodeInvocation(`{"dataframe_split":${split}}`, 'json', columns, limit).inputs }).toEqual(table)
    const instances = [{ age: [1], city: ['x'], n: 1 }]
    expect(decode({ instances }, columns).inputs.age?.dims).toEqual([1, 1])
    expect(decode({ inputs: { age: [[1]], city: [['x']], n: [1] } }, columns).inputs.n?.dims).toEqual([1])
  })

  test('what is wrong is told with its place', () => {
    const cases: [unknown, ModelSignature, code: string, field: string | undefined][] = [
      [[], one, 'REQUEST_INVALID', undefined],
      [{}, one, 'REQUEST_INVALID', 'body'],
      [{ instances: [[1, 2]], inputs: [[1, 2]] }, one, 'REQUEST_INVALID', 'body'],
      [{ inputs: [[1, 2]], params: 5 }, one, 'REQUEST_INVALID', 'params'],
      [{ dataframe_split: [] }, one, 'REQUEST_INVALID', 'dataframe_split'],
      [{ dataframe_split: {} }, one, 'REQUEST_INVALID', 'dataframe_split.data'],
      [{ dataframe_split: { columns: 'ab', data: [[1, 2]] } }, one, 'REQUEST_INVALID', 'dataframe_split.columns'],
      [{ dataframe_split: { columns: [null], data: [[1]] } }, one, 'REQUEST_INVALID', 'dataframe_split.columns[0]'],
      [{ dataframe_split: { columns: ['a', 'b'], data: [[1, 2], [3]] } }, one, 'REQUEST_INVALID', 'dataframe_split.data[1]'],
      [
        {
          dataframe_split: {
            data: [
              [1, 2],
              [3, 4, 5],
            ],
          },
        },
        one,
        'REQUEST_INVALID',
        'dataframe_split.data[1]',
      ],
      [{ dataframe_split: { data: [5] } }, one, 'REQUEST_INVALID', 'dataframe_split.data[0]'],
      [{ dataframe_split: { data: [[1, 2, 3]] } }, one, 'INPUT_INVALID', 'dataframe_split'],
      [{ dataframe_split: { data: [[1, 'x']] } }, one, 'INPUT_INVALID', 'dataframe_split[0][1]'],
      [{ dataframe_split: { data: [[1, 'x', 2]] } }, columns, 'REQUEST_INVALID', 'dataframe_split.columns'],
      [{ dataframe_split: { columns: ['age', 'n'], data: [] } }, columns, 'INPUT_INVALID', 'dataframe_split'],
      [{ dataframe_split: { columns: ['age', 'age', 'city', 'n'], data: [] } }, columns, 'INPUT_INVALID', 'dataframe_split'],
      [{ dataframe_records: {} }, one, 'REQUEST_INVALID', 'dataframe_records'],
      [{ dataframe_records: [5] }, one, 'REQUEST_INVALID', 'dataframe_records[0]'],
      [{ dataframe_records: [{ age: 1, city: 'x' }] }, columns, 'INPUT_INVALID', 'dataframe_records'],
      [{ dataframe_records: [{ age: 1, city: 'x', n: null }] }, columns, 'INPUT_INVALID', 'dataframe_records["n"][0]'],
      [{ instances: [] }, one, 'REQUEST_INVALID', 'instances'],
      [{ instances: [[1, 2]] }, columns, 'REQUEST_INVALID', 'instances'],
      [{ instances: [{ age: [1], city: ['x'], n: 1 }, { age: [1] }] }, columns, 'REQUEST_INVALID', 'instances[1]'],
      [{ instances: [{ x: [1, 2] }, 5] }, one, 'REQUEST_INVALID', 'instances[1]'],
      [{ inputs: { y: [[1, 2]] } }, one, 'INPUT_INVALID', 'inputs'],
      [{ inputs: [[1, 2], [3]] }, one, 'INPUT_INVALID', 'inputs[1]'],
      [{ inputs: { x: { type: 'float32', dims: [1, 2], data: [1, 2] } } }, one, 'INPUT_INVALID', 'inputs'],
    ]
    for (const [body, signature, code, field] of cases) {
      const error = faultOf(body, signature)
      expect([error.code, error.details?.field], JSON.stringify(body)).toEqual([code, field])
    }
  })

  test('records that share no names do not make a table larger than they are', () => {
    const records = Array.from({ length: 4000 }, (_, i) => ({ [`c${i}`]: 1 }))
    expect(faultOf({ dataframe_records: records }).details?.field).toBe('dataframe_records')
  })
})

describe('CSV', () => {
  test('typed by what the model wants', () => {
    expect({ ...csv('a,b\n1,2\n3,4\n').inputs }).toEqual({ x })
    expect(csv('a,b\r\n1,2').isTable).toBe(true)
    const rows = 'more,n,age,city\r\n0,1,30.5,Köln\r\n0,9007199254740993,,"a,""b"""\r\n'
    expect({ ...csv(rows, columns).inputs }).toEqual(table)
    const odd = csv('a\n 1.5 \n\n-inf\nInfinity\nNA\n1e3\n.5\n', list)
    expect(odd.inputs.x?.data).toEqual(new Float32Array([1.5, -Infinity, Infinity, Number.NaN, 1000, 0.5]))
    const bool = { inputs: [input('x', 'bool', ['N'])], outputs: [] }
    expect(csv('a\nTrue\nFALSE\n', bool as ModelSignature).inputs.x?.data).toEqual(new Uint8Array([1, 0]))
    const int = { inputs: [input('x', 'int32', ['N'])], outputs: [] } as ModelSignature
    expect(csv('a\n+3\n4.0\n', int).inputs.x?.data).toEqual(new Int32Array([3, 4]))
  })

  test('cells that do not fit', () => {
    const int = { inputs: [input('x', 'int32', ['N'])], outputs: [] } as ModelSignature
    for (const [text, signature] of [
      ['a\nx\n', list],
      ['a\n0x10\n', list],
      ['a\n1_000\n', list],
      ['a\n1.5\n', int],
      ['a\n""\n', int],
      ['a\n99999999999\n', int],
      ['a\nyes\n', { inputs: [input('x', 'bool', ['N'])], outputs: [] }],
    ] as [string, ModelSignature][])
      expect([text, fault(() => csv(text, signature)).code]).toEqual([text, 'INPUT_INVALID'])
  })

  test('a missing value is not-a-number in a column of floats, and named as missing in every other', () => {
    const nothing = 'a missing value (an empty field, NA or the like), which only columns of floats may have'
    for (const missing of ['', '""', ' ', 'NA', 'null', 'NaN', '<NA>', '#N/A N/A', '-1.#IND', '1.#QNAN']) {
      const text = `a,b\n1,2\n${missing},4\n`
      const column = (type: DType): ModelSignature => ({
        inputs: [input('a', type, ['N']), input('b', 'string', ['N'])],
        outputs: [],
      })
      for (const type of ['int8', 'int64', 'uint16', 'bool'] as const) {
        const { code, message, details } = fault(() => csv(text.replace('1,', type === 'bool' ? 'true,' : '1,'), column(type)))
        expect([missing, type, code, details?.got]).toEqual([missing, type, 'INPUT_INVALID', nothing])
        expect(message).toContain('rows["a"][1]')
      }
      for (const type of ['float16', 'float32', 'float64'] as const) expect(csv(text, column(type)).inputs.a?.data.length).toBe(2)
    }
    // JSON says null, and is told so.
    const int: ModelSignature = { inputs: [input('x', 'int32', ['N'])], outputs: [] }
    expect(faultOf({ inputs: [null] }, int).details?.got).toBe('null')
  })

  test('oddities of the format', () => {
    expect(readCsv('\ufeffa,b\n1,2')).toEqual({ columns: ['a', 'b'], rows: [['1', '2']] })
    expect(readCsv(Buffer.from('\ufeffa\n1'))).toEqual({ columns: ['a'], rows: [['1']] })
    expect(readCsv('a,b\r1,2\r')).toEqual({ columns: ['a', 'b'], rows: [['1', '2']] })
    expect(readCsv('a\n"x\ny"\n""\n')).toEqual({ columns: ['a'], rows: [['x\ny'], ['']] })
    expect(readCsv('a,b\n,\n"",""')).toEqual({
      columns: ['a', 'b'],
      rows: [
        ['', ''],
        ['', ''],
      ],
    })
    for (const text of ['', '\n\n', 'a,b\n1', 'a\n1,2', 'a\n"x', 'a\n"x"y'])
      expect([text, fault(() => readCsv(text)).code]).toEqual([text, 'REQUEST_INVALID'])
    expect(fault(() => readCsv(Buffer.from([0x61, 0x0a, 0xff]))).code).toBe('REQUEST_INVALID')
    expect(fault(() => decodeInvocation(undefined, 'csv', one, limit)).code).toBe('REQUEST_INVALID')
  })

  test('what is quoted comes back, whatever it is', () => {
    const field = fc.string({ unit: 'grapheme', maxLength: 8 })
    const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`
    fc.assert(
      fc.property(fc.array(fc.tuple(field, field), { minLength: 1, maxLength: 5 }), (rows) => {
        const text = ['a,b', ...rows.map((row) => row.map(quoted).join(','))].join('\n')
        expect(readCsv(text).rows).toEqual(rows)
      }),
      { numRuns: 200 },
    )
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', '1', ',', '"', '\n', '\r', ' ', '.') }), (text) => {
        try {
          csv(text, columns)
        } catch (error) {
          expect(isModelmountError(error) && error.status).toBe(400)
        }
      }),
      { numRuns: 300 },
    )
  })
})

test('anything: a 400 or tensors', () => {
  const item = fc.oneof(fc.constantFrom(1, 'x', null, [1, 2], { x: [1, 2] }), fc.anything())
  const body = fc.record(
    {
      dataframe_split: fc.oneof(
        item,
        fc.record({ columns: fc.oneof(item, fc.array(fc.string())), data: fc.array(fc.array(item)) }, { requiredKeys: [] }),
      ),
      dataframe_records: fc.oneof(item, fc.array(fc.dictionary(fc.constantFrom('age', 'city', 'n', 'x'), item))),
      instances: fc.array(item),
      inputs: item,
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(body, fc.constantFrom(one, columns), (request, signature) => {
      try {
        decodeInvocation(request, 'json', signature, limit)
      } catch (error) {
        expect(isModelmountError(error) && error.status).toBe(400)
      }
    }),
    { numRuns: 500 },
  )
})

describe('answers', () => {
  const answer = (outputs: Record<string, Tensor>, isTable: boolean) =>
    Buffer.concat(atOnce(encodeInvocation({ ...({} as PredictResult), outputs }, isTable))).toString()
  const y: Tensor = { type: 'float32', dims: [2, 1], data: new Float32Array([0.1, 2]) }
  const label: Tensor = { type: 'string', dims: [2], data: ['a', 'é'] }

  test('records for tables, nested lists by name for tensors', () => {
    expect(answer({ y, label }, true)).toBe('{"predictions":[{"y":0.10000000149011612,"label":"a"},{"y":2.0,"label":"é"}]}')
    expect(answer({ y, label }, false)).toBe('{"predictions":{"y":[[0.10000000149011612],[2.0]],"label":["a","é"]}}')
    const wide: Tensor = { type: 'int32', dims: [1, 2], data: new Int32Array([1, 2]) }
    expect(answer({ wide }, true)).toBe('{"predictions":[{"wide":1},{"wide":2}]}')
    expect(fault(() => answer({ y, one: { type: 'int32', dims: [1], data: new Int32Array(1) } }, true)).status).toBe(400)
  })

  test('errors in MLflow’s shape', () => {
    const told = (error: ModelmountError): unknown => JSON.parse(Buffer.from(encodeMlflowError(error)).toString())
    expect(told(new ModelmountError('INPUT_INVALID', 'no'))).toEqual({
      error_code: 'BAD_REQUEST',
      message: 'no',
      code: 'INPUT_INVALID',
    })
    expect(told(new ModelmountError('MODEL_NOT_FOUND', 'no'))).toMatchObject({ error_code: 'RESOURCE_DOES_NOT_EXIST' })
    expect(told(new ModelmountError('ROUTE_NOT_FOUND', 'no'))).toMatchObject({ error_code: 'ENDPOINT_NOT_FOUND' })
    expect(told(new ModelmountError('QUEUE_FULL', 'no'))).toMatchObject({ error_code: 'TEMPORARILY_UNAVAILABLE' })
    expect(told(new ModelmountError('INTERNAL', 'no'))).toMatchObject({ error_code: 'INTERNAL_ERROR' })
  })
})

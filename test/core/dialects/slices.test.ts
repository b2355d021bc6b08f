/** Answers of any form are written in slices: a string, however long, and rows, however many, leave the event loop its turns. */

import { describe, expect, test } from 'vitest'
import type { Steps } from '../../../src/core/dialects/codec/index.ts'
import { encodeInvocation } from '../../../src/core/dialects/mlflow/response.ts'
import { readOutputs } from '../../../src/core/dialects/open-inference/forms.ts'
import { encodeGenerate } from '../../../src/core/dialects/open-inference/generate.ts'
import { encodeInfer } from '../../../src/core/dialects/open-inference/response.ts'
import { encodeTfPredict } from '../../../src/core/dialects/tf-serving/response.ts'
import type { PredictResult } from '../../../src/core/predict/types.ts'
import type { ModelSignature, Tensor } from '../../../src/core/tensor/types.ts'
import { input } from '../tensor/support.ts'

const MOST_BYTES = 512 * 1024

const result = (outputs: Record<string, Tensor>): PredictResult =>
  ({ model: 'm', version: '1', id: '', outputs }) as unknown as PredictResult

interface Sliced<T> {
  readonly value: T
  /** Bytes that were gone through between stops, as they were told. */
  readonly slices: readonly number[]
}

function slicesOf<T>(steps: Steps<T>): Sliced<T> {
  const slices: number[] = []
  for (;;) {
    const step = steps.next()
    if (step.done) return { value: step.value, slices }
    slices.push(step.value)
  }
}

const textOf = (pieces: readonly Uint8Array[]): string => Buffer.concat(pieces).toString('utf8')
const piecesOf = ({ body, moreChunks = [] }: { body: Uint8Array; moreChunks?: readonly Uint8Array[] }): Uint8Array[] => [
  body,
  ...moreChunks,
]

// Two halves of a character at every boundary, and bytes that are no multiple of three.
const LONG = `x${'😀'.repeat(500_000)}é"`
const BYTES = Buffer.byteLength(LONG)

function expectSliced({ slices }: Sliced<unknown>, bytes: number): void {
  expect(Math.max(...slices)).toBeLessThanOrEqual(MOST_BYTES)
  expect(slices.length).toBeGreaterThanOrEqual(Math.floor(bytes / MOST_BYTES))
}

describe.each([
  ['one long string', [LONG]],
  ['one among many', ['a', LONG, 'b', '', 'c']],
  ['some that are long', Array.from({ length: 200 }, (_, i) => `${i}${'y'.repeat(20_000)}`)],
])('%s', (_, data) => {
  const bytes = data.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  const flat = { y: { type: 'string', dims: [data.length], data } } as const
  const table = { y: { type: 'string', dims: [data.length, 1], data } } as const
  const named = { y_bytes: { type: 'string', dims: [data.length], data } } as const

  test('infer, JSON', () => {
    const sliced = slicesOf(encodeInfer(result(flat)))
    expectSliced(sliced, bytes)
    expect(JSON.parse(textOf(piecesOf(sliced.value))).outputs[0].data).toEqual(data)
  })

  test('infer, binary', () => {
    const { forms } = readOutputs(undefined, { inputs: [], outputs: [] }, true)
    const sliced = slicesOf(encodeInfer(result(flat), { forms }))
    expectSliced(sliced, bytes)
    const blob = Buffer.concat(piecesOf(sliced.value)).subarray(sliced.value.headerLength)
    const read: string[] = []
    for (let at = 0; at < blob.length; ) {
      const size = blob.readUInt32LE(at)
      read.push(blob.toString('utf8', at + 4, at + 4 + size))
      at += 4 + size
    }
    expect(read).toEqual(data)
  })

  test('generate', () => {
    const sliced = slicesOf(encodeGenerate(result(flat), undefined))
    expectSliced(sliced, bytes)
    expect(JSON.parse(textOf(sliced.value)).y).toEqual(data.length === 1 ? data[0] : data)
  })

  test('TensorFlow Serving, rows, columns and base64', () => {
    const rows = slicesOf(encodeTfPredict(result(flat), 'row'))
    expectSliced(rows, bytes)
    expect(JSON.parse(textOf(rows.value)).predictions).toEqual(data)
    const columns = slicesOf(encodeTfPredict(result(table), 'column'))
    expectSliced(columns, bytes)
    expect(JSON.parse(textOf(columns.value)).outputs).toEqual(data.map((text) => [text]))
    const base64 = slicesOf(encodeTfPredict(result(named), 'column'))
    expectSliced(base64, bytes)
    expect(
      JSON.parse(textOf(base64.value)).outputs.map(({ b64 }: { b64: string }) => Buffer.from(b64, 'base64').toString('utf8')),
    ).toEqual(data)
  })

  test('MLflow, tensors and records', () => {
    const tensors = slicesOf(encodeInvocation(result(table), false))
    expectSliced(tensors, bytes)
    expect(JSON.parse(textOf(tensors.value)).predictions.y).toEqual(data.map((text) => [text]))
    const records = slicesOf(encodeInvocation(result(flat), true))
    expectSliced(records, bytes)
    expect(JSON.parse(textOf(records.value)).predictions).toEqual(data.map((y) => ({ y })))
  })
})

test('the best class of many rows', () => {
  const [rows, width] = [500, 4000]
  const signature: ModelSignature = { inputs: [], outputs: [input('y', 'float32', ['N', width])] }
  const outputs = [{ name: 'y', parameters: { classification: 1 } }]
  const { forms } = readOutputs(outputs, signature, undefined)
  const y: Tensor = { type: 'float32', dims: [rows, width], data: new Float32Array(rows * width) }
  const sliced = slicesOf(encodeInfer(result({ y }), { forms, signature }))
  expectSliced(sliced, rows * width * 8)
})

test('the long string is long', () => expect(BYTES).toBeGreaterThan(3 * MOST_BYTES))

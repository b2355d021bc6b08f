/** Binary bodies with a head that was learned are the same requests, or the same refusals, as bodies that are read anew. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createHeads } from '../../../src/core/dialects/open-inference/heads.ts'
import { decodeInfer } from '../../../src/core/dialects/open-inference/request.ts'
import type { DType, ModelSignature } from '../../../src/core/tensor/types.ts'
import { input } from '../tensor/support.ts'

const MAX_ELEMENTS = 1000
const BYTES = { FP32: 4, FP64: 8, INT64: 8, UINT8: 1 } as const
const TYPES = { FP32: 'float32', FP64: 'float64', INT64: 'int64', UINT8: 'uint8' } as const satisfies Record<string, DType>
type Wire = keyof typeof BYTES

const signatureOf = (types: readonly Wire[]): ModelSignature => ({
  inputs: types.map((type, i) => input(`x${i}`, TYPES[type], ['N', null])),
  outputs: [input('y', 'float32', ['N'])],
})

interface Body {
  readonly json: string
  readonly blob: Uint8Array
  /** Where the bytes after the head are cut into pieces. */
  readonly cuts: readonly number[]
}

/** All facts about an outcome, bit for bit. */
function outcomeOf({ json, blob, cuts }: Body, signature: ModelSignature, maxElements = MAX_ELEMENTS): unknown {
  const head = Buffer.from(json)
  const ends = [...new Set([...cuts.map((cut) => cut % (blob.length + 1)), blob.length])].sort((a, b) => a - b)
  const [first = blob, ...moreChunks] = ends.map((end, i) => blob.slice(i === 0 ? 0 : ends[i - 1], end))
  try {
    const opts = { maxElements, headerLength: head.length, moreChunks }
    const { inputs, forms, ...others } = decodeInfer(new Uint8Array(Buffer.concat([head, first])), signature, opts)
    const tensors = Object.entries(inputs).map(([name, { type, dims, data }]) => {
      if (type === 'string') return [name, type, dims, data]
      return [name, type, dims, Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex')]
    })
    return [tensors, [...forms.named], forms.otherwise, { id: others.id, outputs: others.outputs }, { ...others.parameters }]
  } catch (error) {
    const { code, message, details } = error as { code: string; message: string; details: unknown }
    return [code, message, details]
  }
}

const client = fc.record({
  types: fc.array(fc.constantFrom<Wire>('FP32', 'FP64', 'INT64', 'UINT8'), { minLength: 1, maxLength: 3 }),
  rows: fc.integer({ min: 0, max: 3 }),
  width: fc.integer({ min: 1, max: 3 }),
  reversed: fc.boolean(),
  more: fc.constantFrom(
    '',
    ',"outputs":[{"name":"y","parameters":{"binary_data":true}}]',
    ',"id":"a"',
    ',"parameters":{"binary_data_output":true}',
  ),
})

test('the same head is read as if it were the first of its kind', () => {
  let same = 0
  fc.assert(
    fc.property(
      client,
      fc.array(
        fc.tuple(fc.infiniteStream(fc.nat(255)), fc.array(fc.nat(200), { maxLength: 3 }), fc.integer({ min: -1, max: 1 })),
        {
          minLength: 2,
          maxLength: 4,
        },
      ),
      fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined }),
      ({ types, rows, width, reversed, more }, requests, maxElements) => {
        const learning = signatureOf(types)
        const sizes = types.map((type) => rows * width * BYTES[type])
        const parts = types.map(
          (type, i) =>
            `{"name":"x${i}","datatype":"${type}","shape":[${rows},${width}],"parameters":{"binary_data_size":${sizes[i]}}}`,
        )
        const json = `{"inputs":[${(reversed ? parts.reverse() : parts).join(',')}]${more}}`
        const total = sizes.reduce((sum, size) => sum + size, 0)
        for (const [numbers, cuts, excess] of requests) {
          const blob = Uint8Array.from({ length: Math.max(0, total + excess) }, () => numbers.next().value as number)
          for (const most of [MAX_ELEMENTS, maxElements]) {
            const outcome = outcomeOf({ json, blob, cuts }, learning, most)
            expect(outcome).toEqual(outcomeOf({ json, blob, cuts }, signatureOf(types), most))
            if (Array.isArray((outcome as unknown[])[0])) same++
          }
        }
      },
    ),
    { numRuns: 300 },
  )
  expect(same).toBeGreaterThan(100)
})

const X = input('x', 'float32', ['N', 2])
const floats = new Uint8Array(Float32Array.of(1, 2).buffer)
const PATHS = new Map([['x', 'inputs[0]']])
const requestWith = (more: object = {}) =>
  ({
    inputs: { x: { type: 'float32', dims: [1, 2], data: Float32Array.of(1, 2) } },
    forms: { named: new Map(), otherwise: { binary: false, classes: 0 } },
    parameters: {},
    ...more,
  }) as Parameters<ReturnType<typeof createHeads>['learn']>[3]

function learned(request: ReturnType<typeof requestWith>, inputs = [X], tensorBytes = 8): boolean {
  const heads = createHeads({ inputs })
  heads.learn(Buffer.from('head'), tensorBytes, PATHS, request)
  return heads.read(Buffer.from('head'), [floats], MAX_ELEMENTS, {}) !== undefined
}

test('nothing is kept of a caller, nor of inputs whose values are looked at', () => {
  expect(learned(requestWith())).toBe(true)
  expect(learned(requestWith({ id: 'a' }))).toBe(false)
  expect(learned(requestWith({ parameters: { priority: 1 } }))).toBe(false)
  expect(learned(requestWith(), [X], 4)).toBe(false)
  expect(learned(requestWith(), [{ ...X, nonFinite: 'reject' }])).toBe(false)
  expect(learned(requestWith(), [X, input('b', 'bool', [null], true)])).toBe(false)
  expect(learned(requestWith(), [X, input('s', 'string', [null], true)])).toBe(false)
  const empty = { x: { type: 'float32', dims: [0, 2], data: new Float32Array() } }
  expect(learned(requestWith({ inputs: empty }), [X], 0)).toBe(false)
})

test('long heads are not kept, others replace the oldest', () => {
  const heads = createHeads({ inputs: [X] })
  const has = (text: string): boolean => heads.read(Buffer.from(text), [floats], MAX_ELEMENTS, {}) !== undefined
  const learn = (text: string): void => heads.learn(Buffer.from(text), 8, PATHS, requestWith())
  const long = 'x'.repeat(4 * 1024 + 1)
  learn(long)
  expect(has(long)).toBe(false)
  // One in thirty-two is learned.
  const learnSoon = (text: string): void => {
    for (let i = 0; i < 32; i++) learn(text)
  }
  for (const text of ['a', 'b', 'c', 'd']) learnSoon(text)
  expect(['a', 'b', 'c', 'd'].map(has)).toEqual([true, true, true, true])
  learnSoon('e')
  expect(['a', 'b', 'e'].map(has)).toEqual([false, true, true])
})

test('a request has a copy of its own where its bytes come in pieces', () => {
  const heads = createHeads({ inputs: [X] })
  heads.learn(Buffer.from('head'), 8, PATHS, requestWith())
  const pieces = [floats.slice(0, 3), floats.slice(3)]
  const read = heads.read(Buffer.from('head'), pieces, MAX_ELEMENTS, {})
  pieces[0]?.fill(0)
  expect(read?.inputs.x?.data).toEqual(Float32Array.of(1, 2))
})

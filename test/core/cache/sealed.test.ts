/** The stored form of results: comes back as it went, and nothing else comes back. */

import { createSecretKey } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { seal, unseal } from '../../../src/core/cache/sealed.ts'
import { allocate, DTYPES } from '../../../src/core/tensor/index.ts'
import type { DType, Tensor } from '../../../src/core/tensor/types.ts'
import { floats, SECRET } from './support.ts'

const secret = createSecretKey(SECRET)
const TYPES = Object.keys(DTYPES) as DType[]

const tensor: fc.Arbitrary<Tensor> = fc
  .record({ type: fc.constantFrom(...TYPES), dims: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }) })
  .chain(({ type, dims }) => {
    const count = dims.reduce((product, dim) => product * dim, 1)
    if (type === 'string')
      return fc.array(fc.string(), { minLength: count, maxLength: count }).map((data) => ({ type, dims, data }))
    const size = count * DTYPES[type].bytes
    return fc.uint8Array({ minLength: size, maxLength: size }).map((raw) => {
      const data = allocate(type, count)
      new Uint8Array(data.buffer).set(raw)
      return { type, dims, data } as Tensor
    })
  })
const outputs = fc.dictionary(fc.string(), tensor, { maxKeys: 4, noNullPrototype: false })

/** NaN payloads count. */
const bits = (tensors: Readonly<Record<string, Tensor>>): unknown =>
  Object.entries(tensors).map(([name, { type, dims, data }]) => [
    name,
    type,
    dims,
    ArrayBuffer.isView(data) ? [data.constructor.name, Buffer.from(data.buffer).toString('hex')] : data,
  ])

const small = { outputs: { y: floats(1, 2, 3) }, wallMs: 1_700_000_000_000 }

describe('sealed results', () => {
  test('come back bit for bit, each tensor with memory of its own', () => {
    fc.assert(
      fc.property(outputs, fc.nat(), (outputs, wallMs) => {
        const back = unseal(secret, 'k', seal(secret, 'k', { outputs, wallMs }))
        expect(back?.wallMs).toBe(wallMs)
        expect(bits(back?.outputs ?? {})).toEqual(bits(outputs))
        expect(Object.getPrototypeOf(back?.outputs)).toBe(null)
      }),
      { numRuns: 500 },
    )
  })

  test('a single changed byte, wherever it is, spoils them', () => {
    const value = seal(secret, 'k', small)
    expect(unseal(secret, 'k', value)).toBeDefined()
    for (let at = 0; at < value.length; at++) {
      const changed = Uint8Array.from(value)
      changed[at] = (changed[at] ?? 0) ^ 1
      expect([at, unseal(secret, 'k', changed)]).toEqual([at, undefined])
    }
  })

  test('cut short, drawn out, made up, under another key or secret: nothing', () => {
    const value = seal(secret, 'k', small)
    for (let length = 0; length < value.length; length++) expect(unseal(secret, 'k', value.subarray(0, length))).toBeUndefined()
    expect(unseal(secret, 'k', Buffer.concat([value, Uint8Array.of(0)]))).toBeUndefined()
    expect(unseal(secret, 'other', value)).toBeUndefined()
    expect(unseal(createSecretKey(new Uint8Array(32).fill(9)), 'k', value)).toBeUndefined()
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (made) => unseal(secret, 'k', made) === undefined))
  })
})

/** Different requests have different keys, equal ones the same. */

import { createSecretKey } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createUnframing, framed } from '../../../src/core/cache/framing.ts'
import { identityBytes, type KeyedRequest, keyOf, writeRequest } from '../../../src/core/cache/key.ts'
import { allocate, DTYPES } from '../../../src/core/tensor/index.ts'
import type { DType, Tensor } from '../../../src/core/tensor/types.ts'
import { floats } from './support.ts'

const TYPES = Object.keys(DTYPES) as DType[]
const IDENTITY = identityBytes({ model: 'm', version: '1', load: 'l' })

const bytes = (request: KeyedRequest, identity = IDENTITY): string =>
  Buffer.from(framed((framing) => writeRequest(framing, identity, request))).toString('hex')

const request = (inputs: Record<string, Tensor>, rest: Partial<KeyedRequest> = {}): KeyedRequest => ({
  inputs,
  fetches: ['y'],
  shareable: true,
  tenant: undefined,
  ...rest,
})

const strings = (...data: string[]): Tensor => ({ type: 'string', dims: [data.length], data })
const numbers = <T extends DType>(type: T, dims: number[], ...values: number[]): Tensor => {
  const data = allocate(type, values.length)
  new Uint8Array((data as Uint8Array).buffer).set(new Uint8Array(Float32Array.from(values).buffer))
  return { type, dims, data } as Tensor
}

describe('attempts at a collision', () => {
  const pairs: [string, KeyedRequest, KeyedRequest][] = [
    ['the border between two inputs', request({ a: floats(1, 2), b: floats(3) }), request({ a: floats(1), b: floats(2, 3) })],
    ['the border between two strings', request({ a: strings('ab', 'c') }), request({ a: strings('a', 'bc') })],
    ['a separator in a string', request({ a: strings('a\0b') }), request({ a: strings('a', 'b') })],
    ['an empty string more', request({ a: strings('a', '') }), request({ a: strings('a') })],
    ['halves of surrogate pairs', request({ a: strings('\ud800') }), request({ a: strings('\ufffd') })],
    ['two halves', request({ a: strings('\ud83d', '\ude00') }), request({ a: strings('\ud83d\ude00', '') })],
    ['1 and "1"', request({ a: floats(1) }), request({ a: strings('1') })],
    [
      'float32 and int32 with the same bits',
      request({ a: numbers('float32', [2], 1, 2) }),
      request({ a: numbers('int32', [2], 1, 2) }),
    ],
    [
      'int32 and uint32 with the same bits',
      request({ a: numbers('int32', [2], 1, 2) }),
      request({ a: numbers('uint32', [2], 1, 2) }),
    ],
    [
      '[2,3] and [3,2]',
      request({ a: numbers('float32', [2, 3], 1, 2, 3, 4, 5, 6) }),
      request({ a: numbers('float32', [3, 2], 1, 2, 3, 4, 5, 6) }),
    ],
    [
      '[6] and [1,6]',
      request({ a: numbers('float32', [6], 1, 2, 3, 4, 5, 6) }),
      request({ a: numbers('float32', [1, 6], 1, 2, 3, 4, 5, 6) }),
    ],
    ['[0] and [0,5]', request({ a: numbers('float32', [0]) }), request({ a: numbers('float32', [0, 5]) })],
    ['a scalar and one element', request({ a: numbers('float32', [], 1) }), request({ a: numbers('float32', [1], 1) })],
    ['two inputs swapped', request({ a: floats(1), b: floats(2) }), request({ a: floats(2), b: floats(1) })],
    ['an input left out', request({ a: floats(1) }), request({ a: floats(1), b: floats() })],
    ['the name of an input', request({ a: floats(1) }), request({ b: floats(1) })],
    ['a name that looks like two', request({ 'a,b': floats(1) }), request({ a: floats(1), b: floats(1) })],
    ['0 and -0', request({ a: floats(0) }), request({ a: floats(-0) })],
    ['another output', request({ a: floats(1) }), request({ a: floats(1) }, { fetches: ['z'] })],
    ['an output more', request({ a: floats(1) }), request({ a: floats(1) }, { fetches: ['y', 'z'] })],
    ['a tenant and none', request({ a: floats(1) }), request({ a: floats(1) }, { tenant: '' })],
    ['two tenants', request({ a: floats(1) }, { tenant: 'a' }), request({ a: floats(1) }, { tenant: 'b' })],
    [
      'the border between tenant and output',
      request({ a: floats(1) }, { tenant: 'ay', fetches: ['z'] }),
      request({ a: floats(1) }, { tenant: 'a', fetches: ['yz'] }),
    ],
    ['alone and shared', request({ a: floats(1) }), request({ a: floats(1) }, { shareable: false })],
  ]
  test.each(pairs)('%s', (_, one, other) => {
    expect(bytes(one)).not.toBe(bytes(other))
  })

  test.each([
    [
      { model: 'm', version: '1', load: 'l' },
      { model: 'm1', version: '', load: 'l' },
    ],
    [
      { model: 'm', version: '1', load: 'l' },
      { model: 'm', version: '1', load: 'k' },
    ],
    [
      { model: 'm', version: '1', load: 'l' },
      { model: 'n', version: '1', load: 'l' },
    ],
  ])('%j and %j', (one, other) => {
    const same = request({ a: floats(1) })
    expect(bytes(same, identityBytes(one))).not.toBe(bytes(same, identityBytes(other)))
  })

  test('what is equal is equal, in whatever order it comes', () => {
    const data = Float32Array.of(9, 1, 2, 9).subarray(1, 3)
    const one = request({ a: floats(1, 2), b: strings('x') }, { fetches: ['y', 'z'] })
    const other = request({ b: strings('x'), a: { type: 'float32', dims: [2], data } }, { fetches: ['z', 'y'] })
    expect(bytes(one)).toBe(bytes(other))
  })

  test('a key depends on the secret, and says nothing', () => {
    const same = request({ a: floats(1) })
    const [one, other] = [1, 2].map((byte) => keyOf(createSecretKey(new Uint8Array(32).fill(byte)), IDENTITY, same))
    expect(one).toMatch(/^[\w-]{43}$/)
    expect(other).not.toBe(one)
  })
})

describe('canonical bytes', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', ',', '\0', '"', '\ud800', '\udc00', 'é'), maxLength: 4 })
  const tensor: fc.Arbitrary<Tensor> = fc
    .record({ type: fc.constantFrom(...TYPES), dims: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 }) })
    .chain(({ type, dims }) => {
      const count = dims.reduce((product, dim) => product * dim, 1)
      if (type === 'string') return fc.array(text, { minLength: count, maxLength: count }).map((data) => ({ type, dims, data }))
      const size = count * DTYPES[type].bytes
      return fc.uint8Array({ minLength: size, maxLength: size, max: 1 }).map((raw) => {
        const data = allocate(type, count)
        new Uint8Array(data.buffer).set(raw)
        return { type, dims, data } as Tensor
      })
    })
  const requests: fc.Arbitrary<KeyedRequest> = fc.record({
    inputs: fc.dictionary(text, tensor, { maxKeys: 3 }),
    fetches: fc.uniqueArray(text, { maxLength: 2 }),
    shareable: fc.boolean(),
    tenant: fc.option(text, { nil: undefined }),
  })
  /** Says the same in a way that has nothing to do with ours. */
  const spelled = ({ inputs, fetches, shareable, tenant }: KeyedRequest): string =>
    JSON.stringify([
      Object.keys(inputs)
        .sort()
        .map((name) => {
          const { type, dims, data } = inputs[name] as Tensor
          return [name, type, dims, type === 'string' ? data : Buffer.from((data as Uint8Array).buffer).toString('hex')]
        }),
      [...fetches].sort(),
      shareable,
      tenant === undefined ? null : [tenant],
    ])

  test('are equal exactly for equal requests', () => {
    const seen = new Map<string, string>()
    fc.assert(
      fc.property(requests, (one) => {
        const encoded = bytes(one)
        expect(seen.get(encoded) ?? spelled(one)).toBe(spelled(one))
        seen.set(encoded, spelled(one))
      }),
      { numRuns: 5000 },
    )
    expect(new Set(seen.values()).size).toBe(seen.size)
  })

  test('never start with those of another request: nothing can be moved over the end', () => {
    fc.assert(
      fc.property(requests, requests, (one, other) => {
        const [a, b] = [bytes(one), bytes(other)]
        if (a !== b) expect(a.startsWith(b) || b.startsWith(a)).toBe(false)
      }),
      { numRuns: 2000 },
    )
  })

  test('do not depend on where the chunks end', () => {
    for (const length of [0, 1, 2047, 2048, 2049, 8191, 8192, 20_000]) {
      const data = Uint8Array.from({ length }, (_, i) => i)
      const label = 'x'.repeat(length)
      const written = framed((framing) => {
        for (let i = 0; i < 600; i++) framing.number(i)
        framing.bytes(data)
        framing.text(label)
        framing.bytes(data)
      })
      const read = createUnframing(written)
      for (let i = 0; i < 600; i++) expect(read.number()).toBe(i)
      expect(read.bytes()).toEqual(Buffer.from(data))
      expect(read.text()).toBe(label)
      expect(read.bytes()).toEqual(Buffer.from(data))
      expect(read.atEnd()).toBe(true)
    }
  })
})

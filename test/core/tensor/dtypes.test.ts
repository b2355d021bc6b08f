import vm from 'node:vm'
import { describe, expect, test } from 'vitest'
import {
  allocate,
  DTYPES,
  elementsOf,
  fromWireType,
  isDType,
  toWireType,
  typedArrayName,
} from '../../../src/core/tensor/dtypes.ts'
import { ALL_TYPES } from './support.ts'

test('13 types, each with a wire name that leads back', () => {
  expect(ALL_TYPES).toHaveLength(13)
  for (const type of ALL_TYPES) expect(fromWireType(toWireType(type))).toBe(type)
  expect(toWireType('string')).toBe('BYTES')
  expect(toWireType('bool')).toBe('BOOL')
  for (const name of ['BF16', 'fp32', 'STRING', '', '__proto__', 'constructor']) expect(fromWireType(name)).toBeUndefined()
})

test('names of Object.prototype are no types', () => {
  for (const name of ['toString', '__proto__', 'constructor', 3, null]) expect(isDType(name)).toBe(false)
})

test('bytes, arrays and ranges agree', () => {
  for (const type of ALL_TYPES) {
    const { bytes, isInteger, min, max } = DTYPES[type]
    const array = allocate(type, 3)
    expect(array).toHaveLength(3)
    if (type === 'string') continue
    const typed = array as Uint8Array
    expect(typed.BYTES_PER_ELEMENT).toBe(bytes)
    if (!isInteger) continue
    const one = typeof min === 'bigint' ? 1n : 1
    for (const edge of [min, max]) {
      typed[0] = edge as number
      expect(typed[0]).toBe(edge)
    }
    for (const beyond of [(min as number) - (one as number), (max as number) + (one as number)]) {
      typed[0] = beyond
      expect(typed[0]).not.toBe(beyond)
    }
  }
})

describe('elementsOf', () => {
  test('gives the same memory where that is safe', () => {
    const array = new Float32Array([1, 2])
    expect(elementsOf('float32', array)).toBe(array)
    const buffer = Buffer.from([1, 2, 3])
    const elements = elementsOf('uint8', buffer)
    expect(elements).toEqual(new Uint8Array([1, 2, 3]))
    expect(Object.getPrototypeOf(elements)).toBe(Uint8Array.prototype)
    buffer[0] = 9
    expect(elements?.[0]).toBe(9)
  })

  test('copies shared and resizable memory', () => {
    const shared = new Float32Array(new SharedArrayBuffer(8)).fill(1)
    const resizable = new Float32Array(
      new (ArrayBuffer as unknown as new (n: number, o: object) => ArrayBuffer)(8, { maxByteLength: 16 }),
    ).fill(1)
    for (const array of [shared, resizable]) {
      const elements = elementsOf('float32', array)
      array[0] = 5
      expect(elements).toEqual(new Float32Array([1, 1]))
      expect(elements?.buffer).toBeInstanceOf(ArrayBuffer)
      expect(elements?.buffer).toMatchObject({ resizable: false })
    }
  })

  test('takes the arrays of another realm, and no DataView', () => {
    const foreign = vm.runInNewContext('new Float32Array([1, 2])') as Float32Array
    expect(foreign).not.toBeInstanceOf(Float32Array)
    expect(elementsOf('float32', foreign)).toBeInstanceOf(Float32Array)
    expect(elementsOf('uint8', new DataView(new ArrayBuffer(2)))).toBeUndefined()
    expect(typedArrayName(new DataView(new ArrayBuffer(2)))).toBeUndefined()
    for (const junk of [undefined, null, 1, 'Uint8Array', [], {}, new ArrayBuffer(1)])
      expect(typedArrayName(junk)).toBeUndefined()
  })

  test('a detached subclass has no elements', () => {
    const buffer = Buffer.from(new ArrayBuffer(8))
    structuredClone(buffer.buffer, { transfer: [buffer.buffer] })
    expect(elementsOf('uint8', buffer)).toHaveLength(0)
  })

  test('a Float16Array gives its bits', ({ skip }) => {
    const Float16 = (globalThis as { Float16Array?: new (values: number[]) => ArrayBufferView }).Float16Array
    if (Float16 === undefined) return skip('this runtime has no Float16Array')
    expect(elementsOf('float16', new Float16([1, -2]))).toEqual(new Uint16Array([0x3c00, 0xc000]))
    expect(elementsOf('uint16', new Float16([1]))).toBeUndefined()
  })
})

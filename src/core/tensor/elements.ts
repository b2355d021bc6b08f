/** Converts JavaScript values into elements: one tight loop per kind of element, and the wording for a refused value. */

import { codeOf, DTYPES, type ElementArrays, type Kind, type KindArrays } from './dtypes.ts'
import type { DType } from './types.ts'

/**
 * Stand for the tokens `Infinity` and `-Infinity` of a JSON text. A number could not be told from `1e400`, which is too large for a
 * float and refused.
 */
export const INFINITE: Readonly<Record<'positive' | 'negative', symbol>> = {
  positive: Symbol('Infinity'),
  negative: Symbol('-Infinity'),
}

/** The values that may stand for an element. */
export interface ElementPolicy {
  /**
   * Set for values from JSON text. `null`, a missing value, is not-a-number in a float tensor, and so is the string `NaN`.
   * Infinities are the strings `Infinity` and `-Infinity`, or {@link INFINITE}; an infinite number was an overflow.
   * Only `true` and `false` are booleans. Without this flag, floats are any number, and booleans also 0 and 1.
   */
  readonly json: boolean
  /** How to send an integer that a number cannot hold exactly; ends the sentence that refuses it. */
  readonly bigIntegerAdvice: string
  /** The word for null, unless the caller wrote one. @default 'null' */
  readonly nothing?: string
}

type Fill<K extends Kind> = (target: KindArrays[K], at: number, row: readonly unknown[], policy: ElementPolicy) => number

const FILLS_OF: { readonly [K in Kind]: (type: DType) => Fill<K> } = {
  float: () => fillFloats,
  coded: codedFor,
  integer: integersFor,
  long: longIntegersFor,
  bool: () => fillBooleans,
  string: () => fillStrings,
}

const FILLS = Object.fromEntries(
  (Object.keys(DTYPES) as DType[]).map((type) => [type, FILLS_OF[DTYPES[type].kind](type)]),
) as Readonly<Record<DType, Fill<Kind>>>

/**
 * Converts one row of values into `target`, starting at element `at`.
 * @returns the index in `row` of the first value that the policy refuses, or -1
 */
export function fillRow<T extends DType>(
  type: T,
  target: ElementArrays[T],
  at: number,
  row: readonly unknown[],
  policy: ElementPolicy,
): number {
  return FILLS[type](target as never, at, row, policy)
}

/** Names what {@link fillRow} expected and the kind of the refused value: no tensor value may reach a message. */
export function describeRefusal(
  type: DType,
  value: unknown,
  policy: ElementPolicy,
  typeName: string,
): { expected: string; got: string } {
  const expected = describeElement(type, policy)
  if (typeof value === 'string' && type === 'string')
    return { expected, got: 'a string with a NUL character, where ONNX Runtime would cut it' }
  if (typeof value === 'bigint' && DTYPES[type].isInteger) return { expected, got: `an integer out of range for ${typeName}` }
  if (value === null && policy.nothing !== undefined) return { expected, got: policy.nothing }
  if (typeof value !== 'number' || type === 'bool' || type === 'string') return { expected, got: kindOf(value) }
  if (Number.isNaN(value)) return { expected, got: kindOf(value) }
  if (!DTYPES[type].isInteger || (policy.json && !Number.isFinite(value)))
    return { expected, got: `a number out of range for ${typeName}` }
  if (!Number.isInteger(value)) return { expected, got: 'a non-integer number' }
  if (DTYPES[type].kind !== 'long' || Number.isSafeInteger(value))
    return { expected, got: `a number out of range for ${typeName}` }
  return { expected, got: `an integer beyond 2^53, which a number cannot hold exactly: ${policy.bigIntegerAdvice}` }
}

/** Describes a value without revealing it. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value === 'symbol') return 'Infinity'
  if (Number.isNaN(value)) return 'NaN'
  if (Array.isArray(value)) return 'array'
  return typeof value
}

function describeElement(type: DType, policy: ElementPolicy): string {
  if (type === 'string') return 'a string'
  if (type === 'bool') return policy.json ? 'true or false' : 'true, false, 0 or 1'
  if (DTYPES[type].isInteger) return 'an integer'
  return policy.json ? 'a number, null, "NaN", "Infinity" or "-Infinity"' : 'a number'
}

function fillFloats(target: KindArrays['float'], at: number, row: readonly unknown[], policy: ElementPolicy): number {
  for (let i = 0; i < row.length; i++) {
    const value = row[i]
    if (typeof value === 'number') {
      target[at + i] = value
      if (Number.isFinite(target[at + i])) continue
    }
    const unusual = floatOf(value, policy)
    if (unusual === undefined) return i
    target[at + i] = unusual
    if (Number.isFinite(unusual) && !Number.isFinite(target[at + i])) return i
  }
  return -1
}

function codedFor(type: DType): Fill<'coded'> {
  const code = codeOf(type)
  return function fillCoded(target, at, row, policy) {
    for (let i = 0; i < row.length; i++) {
      const number = floatOf(row[i], policy)
      if (number === undefined) return i
      const bits = code.toBits(number)
      if (Number.isFinite(number) && !code.isFinite(bits)) return i
      target[at + i] = bits
    }
    return -1
  }
}

function floatOf(value: unknown, policy: ElementPolicy): number | undefined {
  if (!policy.json) return typeof value === 'number' ? value : undefined
  if (value === null || value === 'NaN' || Number.isNaN(value)) return Number.NaN
  if (value === 'Infinity' || value === INFINITE.positive) return Number.POSITIVE_INFINITY
  if (value === '-Infinity' || value === INFINITE.negative) return Number.NEGATIVE_INFINITY
  // The exact parser returns long integers as bigint, whatever tensor they are in.
  const number = typeof value === 'bigint' ? Number(value) : value
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined
}

function integersFor(type: DType): Fill<'integer'> {
  const min = Number(DTYPES[type].min)
  const max = Number(DTYPES[type].max)
  return function fillIntegers(target, at, row) {
    for (let i = 0; i < row.length; i++) {
      const value = row[i]
      if (typeof value === 'number') {
        if (!Number.isInteger(value) || value < min || value > max) return i
        target[at + i] = value
      } else {
        if (typeof value !== 'bigint' || value < min || value > max) return i
        target[at + i] = Number(value)
      }
    }
    return -1
  }
}

function longIntegersFor(type: DType): Fill<'long'> {
  const min = BigInt(DTYPES[type].min)
  const max = BigInt(DTYPES[type].max)
  return function fillLongIntegers(target, at, row) {
    for (let i = 0; i < row.length; i++) {
      const value = row[i]
      if (typeof value === 'number') {
        if (!Number.isSafeInteger(value) || value < min) return i
        target[at + i] = BigInt(value)
      } else {
        if (typeof value !== 'bigint' || value < min || value > max) return i
        target[at + i] = value
      }
    }
    return -1
  }
}

function fillBooleans(target: Uint8Array, at: number, row: readonly unknown[], policy: ElementPolicy): number {
  for (let i = 0; i < row.length; i++) {
    const value = row[i]
    const isBit = !policy.json && (value === 0 || value === 1)
    if (typeof value !== 'boolean' && !isBit) return i
    target[at + i] = value ? 1 : 0
  }
  return -1
}

function fillStrings(target: string[], at: number, row: readonly unknown[]): number {
  for (let i = 0; i < row.length; i++) {
    const value = row[i]
    // ONNX Runtime's Node binding cuts a string at its first NUL. Refusing it is better than answering another question.
    if (typeof value !== 'string' || value.includes('\0')) return i
    target[at + i] = value
  }
  return -1
}

/** How one request format spells tensors, so that errors use the caller's own terms. */

import { ModelmountError } from '../errors.ts'
import { printable } from '../host/printable.ts'
import type { ElementPolicy } from './elements.ts'
import type { DType } from './types.ts'

/** The vocabulary of one request format, and the values that it accepts as elements. */
export interface Vocabulary {
  /** Name of an element type: `float32`, or `FP32` on the wire. */
  typeName(type: DType): string
  /** Path of an input in the request, for `details.field`. */
  pathOf(input: string): string
  /** The fields of a tensor. */
  readonly fields: { readonly type: string; readonly dims: string; readonly data: string }
  readonly elements: ElementPolicy
  /** Values are nested arrays and scalars; an object is never a tensor. @default false */
  readonly nestedOnly?: boolean
}

/** The format of `predict()` calls. */
export const javascript: Vocabulary = {
  typeName: (type) => type,
  pathOf: (input) => input,
  fields: { type: 'type', dims: 'dims', data: 'data' },
  elements: { json: false, bigIntegerAdvice: 'use a BigInt' },
}

/** The fault of an input, in parts. */
export interface InputFault {
  readonly input: string
  readonly field?: string
  readonly expected?: string
  readonly got?: string
}

/** An `INPUT_INVALID` error. */
export function inputFault(message: string, { input, field, expected, got }: InputFault): ModelmountError {
  return new ModelmountError('INPUT_INVALID', message, { details: { field, input, expected, got } })
}

/** The most common sentence: `expected … at <field>, got …`. */
export function mismatch(input: string, field: string, expected: string, got: string): ModelmountError {
  return inputFault(`input ${quote(input)}: expected ${expected} at ${field}, got ${got}`, { input, field, expected, got })
}

const LONGEST_NAME = 80

/** A name for a message: quoted, with control characters escaped, and cut if a request made it long. */
export function quote(name: string): string {
  return printable(JSON.stringify(shorten(name)))
}

/** Most characters shown of a name that came with a request. */
export function shorten(name: string): string {
  return name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME)}…` : name
}

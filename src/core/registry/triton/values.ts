/** Reads a parsed `config.pbtxt`: values of its JSON, and their faults. */

import { ModelmountError } from '../../errors.ts'
import type { JsonValue } from '../../protocol/types.ts'
import type { DType } from '../../tensor/types.ts'

/** Records a setting that is not honoured as written. */
export type Note = (field: string, reason: string) => void
export type Json = { readonly [field: string]: JsonValue }

export const TYPES: Readonly<Record<string, DType>> = {
  TYPE_BOOL: 'bool',
  TYPE_UINT8: 'uint8',
  TYPE_UINT16: 'uint16',
  TYPE_UINT32: 'uint32',
  TYPE_UINT64: 'uint64',
  TYPE_INT8: 'int8',
  TYPE_INT16: 'int16',
  TYPE_INT32: 'int32',
  TYPE_INT64: 'int64',
  TYPE_FP16: 'float16',
  TYPE_FP32: 'float32',
  TYPE_FP64: 'float64',
  TYPE_STRING: 'string',
}

export const object = (value: JsonValue | undefined): Json =>
  (typeof value === 'object' && !Array.isArray(value) ? (value as Json | null) : null) ?? {}
export const objects = (value: JsonValue | undefined): readonly Json[] => (Array.isArray(value) ? value.map(object) : [])
export const numbers = (value: JsonValue | undefined): readonly number[] => (Array.isArray(value) ? value.map(Number) : [])
export const number = (value: JsonValue | undefined): number => Number(value ?? 0)
export const string = (value: JsonValue | undefined): string => (typeof value === 'string' ? value : '')

export const invalid = (field: string, sentence: string): ModelmountError =>
  new ModelmountError('CONFIG_INVALID', `config.pbtxt: ${sentence}`, { details: { field } })
export const unsupported = (field: string, sentence: string): ModelmountError =>
  new ModelmountError('MODEL_UNSUPPORTED', `config.pbtxt: ${sentence}`, { details: { field } })

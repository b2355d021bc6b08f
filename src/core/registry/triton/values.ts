/** Reads a parsed `config.pbtxt`: values of its JSON, and their faults. */

import type { JsonValue } from '../../dialects/types.ts'
import { ModelmountError } from '../../errors.ts'
import { DTYPES } from '../../tensor/index.ts'
import type { DType } from '../../tensor/types.ts'

/** Records a setting that is not honoured as written. */
export type Note = (field: string, reason: string) => void
export type Json = { readonly [field: string]: JsonValue }

/** Triton's names: those of the protocol, but for strings. */
export const TYPES: Readonly<Record<string, DType>> = Object.fromEntries(
  (Object.keys(DTYPES) as DType[]).map((type) => [type === 'string' ? 'TYPE_STRING' : `TYPE_${DTYPES[type].wire}`, type]),
)

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

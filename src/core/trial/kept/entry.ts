/** A proof as text, and back: nothing is believed that is not exactly as it was written, for exactly the model that is asked for. */

import type { Point } from '../measure.ts'
import type { Found } from '../plan.ts'
import type { Made } from '../rows.ts'
import { digestOf, KEY_PARTS, listed, type ProofKey } from './key.ts'

/** The findings about a model without its rows, which are made again: they may be a caller's data, and large. */
export interface KeptProof {
  readonly found: Omit<Found, 'rows'>
  /** How many rows were found. */
  readonly rows: number
  readonly mixing: string | undefined
  readonly points: readonly Point[]
  /** The execution provider that was measured. */
  readonly provider: string
  /** Milliseconds since 1970. */
  readonly at: number
}

const FORMAT = 1

export function encode(key: ProofKey, proof: KeptProof): string {
  const body = JSON.stringify({ format: FORMAT, key, proof })
  return `${JSON.stringify({ sha256: digestOf(body), body })}\n`
}

/** @returns the proof, or what is wrong with it, worded as the rest of a sentence */
export function decode(text: string, key: ProofKey): KeptProof | string {
  const outer = parse(text)
  if (typeof outer?.body !== 'string' || typeof outer.sha256 !== 'string') return 'is damaged'
  if (digestOf(outer.body) !== outer.sha256) return 'is damaged, or was changed'
  const { format, key: found, proof } = parse(outer.body) ?? {}
  if (format !== FORMAT || !isRecord(found)) return 'has another format'
  const other = KEY_PARTS.find((part) => found[part] !== key[part])
  if (other !== undefined || Object.keys(found).length !== listed(key).length) return `is of another ${other ?? 'key'}`
  return isRecord(proof) ? (proofIn(proof) ?? 'has another format') : 'has another format'
}

type Json = Readonly<Record<string, unknown>>

const isRecord = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

function parse(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

const isNumber = (value: unknown): value is number => typeof value === 'number' && value >= 0 && Number.isFinite(value)
const isCount = (value: unknown): value is number => isNumber(value) && Number.isSafeInteger(value)
const isText = (value: unknown): value is string | undefined => value === undefined || typeof value === 'string'
const isAll = <T>(values: unknown, is: (value: unknown) => value is T): values is T[] => Array.isArray(values) && values.every(is)
const ascend = (values: readonly number[]): boolean => values.every((value, i) => i === 0 || value > (values[i - 1] as number))

const isPoint = (value: unknown): value is Point =>
  isRecord(value) && isCount(value.rows) && value.rows > 0 && isNumber(value.ms) && isNumber(value.copyMs)

const isRange = (value: unknown): value is [string, number] =>
  Array.isArray(value) && value.length === 2 && typeof value[0] === 'string' && isCount(value[1])

const isMade = (value: unknown): value is Made | undefined =>
  value === undefined || (isRecord(value) && isCount(value.free) && isAll(value.ranges, isRange))

function foundIn({ lack, refuted, padding, sizes, made, example }: Json): KeptProof['found'] | undefined {
  const isFound = isText(lack) && isText(refuted) && isText(padding) && isAll(sizes, isCount) && ascend(sizes) && isMade(made)
  if (!isFound || !(example === undefined || isCount(example))) return undefined
  return { lack, refuted, padding, sizes, made, example }
}

/** Field by field, so that nothing else gets in. */
function proofIn({ found, rows, mixing, points, provider, at }: Json): KeptProof | undefined {
  const known = isRecord(found) ? foundIn(found) : undefined
  if (!known || !isCount(rows) || !isText(mixing) || !isAll(points, isPoint)) return undefined
  if (!ascend(points.map((point) => point.rows)) || typeof provider !== 'string' || !isNumber(at)) return undefined
  return { found: known, rows, mixing, points, provider, at }
}

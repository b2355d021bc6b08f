/** Changes to a protobuf message, as splices of its bytes: the lengths of the enclosing messages are adjusted automatically. */

import type { Patch, Splice } from '../splice.ts'
import type { Span } from '../wire.ts'

/** New bytes in place of a run of whole fields, or of a payload; an empty run inserts. */
export interface Change extends Splice {
  /** The enclosing messages, outermost first. */
  readonly within: readonly Span[]
}

/** @param changes that do not overlap */
export function patchOf(changes: readonly Change[]): Patch {
  const growth = new Map<number, number>()
  const around = new Map<number, readonly Span[]>()
  const grow = (within: readonly Span[], by: number): void => {
    for (const [depth, span] of within.entries()) {
      growth.set(span.start, (growth.get(span.start) ?? 0) + by)
      around.set(span.start, within.slice(0, depth + 1))
    }
  }
  for (const { at, end, bytes, within } of changes) grow(within, bytes.length - (end - at))
  const lengths: Splice[] = []
  // Innermost first: a length that takes more bytes counts in the enclosing ones.
  for (const path of [...around.values()].sort((a, b) => b.length - a.length)) {
    const span = path.at(-1) as Span
    const bytes = varint(span.end - span.body + (growth.get(span.start) ?? 0))
    grow(path.slice(0, -1), bytes.length - (span.body - span.lengthAt))
    lengths.push({ at: span.lengthAt, end: span.body, bytes })
  }
  return [...changes.map(({ at, end, bytes }) => ({ at, end, bytes })), ...lengths].sort((a, b) => a.at - b.at || a.end - b.end)
}

export const cut = ({ start, end }: Span, within: readonly Span[]): Change => ({
  at: start,
  end,
  bytes: new Uint8Array(0),
  within,
})

// ---------------------------------------------------------------- writing

export function varint(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80)
  bytes.push(rest)
  return Uint8Array.from(bytes)
}

const joined = (...parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts)
export const message = (field: number, ...parts: readonly Uint8Array[]): Uint8Array => {
  const body = joined(...parts)
  return joined(varint(field * 8 + 2), varint(body.length), body)
}
export const text = (field: number, value: string): Uint8Array => message(field, Buffer.from(value))

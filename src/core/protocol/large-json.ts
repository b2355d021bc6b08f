/** Large JSON requests, read in slices so that the host's event loop turns in between. */

import { setImmediate } from 'node:timers/promises'
import { fromWireType, product } from '../tensor/index.ts'
import { findDataSpans, type Span } from './data-spans.ts'
import { isObject, isSize } from './fields.ts'
import { hasLongSequenceId, parseExactWhere } from './long-integers.ts'
import { createNumberScanner } from './number-scanner.ts'
import type { Room } from './room.ts'

/** Below some thousand numbers `JSON.parse` is as fast. */
const MIN_BYTES = 8 * 1024
/** About a millisecond at most. */
const SLICE_BYTES = 64 * 1024
/** A body up to here is read in one turn. */
const TURN_BYTES = 256 * 1024

/** True for bodies that are worth it. */
export const isLarge = (body: unknown): body is Uint8Array => body instanceof Uint8Array && body.byteLength >= MIN_BYTES

/**
 * An infer request of the Open Inference Protocol whose numbers are typed arrays already.
 * @returns `undefined` for anything but large bodies with flat lists of numbers that fit their shape and type: those are read the usual way, which
 *   also finds the words for what is wrong with them
 */
export async function readLargeJson(
  body: Uint8Array,
  maxElements: number,
  room?: Room,
): Promise<Record<string, unknown> | undefined> {
  const found = findDataSpans(body)
  if (!found) return undefined
  const request = envelopeOf(found.envelope)
  if (!request || !Array.isArray(request.inputs)) return undefined
  for (const [index, span] of found.spans) {
    const input: unknown = request.inputs[index]
    const elements = isObject(input) ? await elementsAt(input, body, span, maxElements, room) : undefined
    if (!elements) return undefined
    ;(input as Record<string, unknown>).data = elements
  }
  return request
}

function envelopeOf(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const request = parseExactWhere(hasLongSequenceId, bytes)
    return isObject(request) ? request : undefined
  } catch {
    return undefined
  }
}

async function elementsAt(
  { datatype, shape }: Readonly<Record<string, unknown>>,
  body: Uint8Array,
  { from, to }: Span,
  maxElements: number,
  room: Room | undefined,
): Promise<unknown> {
  const type = typeof datatype === 'string' ? fromWireType(datatype) : undefined
  if (type === undefined || !Array.isArray(shape) || !shape.every(isSize)) return undefined
  const count = product(shape)
  const scanner = count <= maxElements ? createNumberScanner(type, body, from, to, count, room) : undefined
  if (!scanner) return undefined
  for (;;) {
    const progress = scanner.read(SLICE_BYTES)
    if (progress === 'done') return scanner.elements
    if (progress === 'odd') return undefined
    if (body.byteLength > TURN_BYTES) await setImmediate()
  }
}

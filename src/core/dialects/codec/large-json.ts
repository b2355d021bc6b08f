/** Large JSON requests whose numbers are read straight into typed arrays. */

import { fromWireType, product } from '../../tensor/index.ts'
import type { ModelSignature } from '../../tensor/types.ts'
import type { BufferPool } from './buffer-pool.ts'
import { findDataSpans, type Span } from './data-spans.ts'
import { isObject, isSize } from './fields.ts'
import { parseBody } from './long-integers.ts'
import { createNumberScanner } from './number-scanner.ts'

/** Below some thousand numbers `JSON.parse` is as fast. */
const MIN_BYTES = 8 * 1024

/** True for bodies that are worth it. */
export const isLarge = (body: unknown): body is Uint8Array => body instanceof Uint8Array && body.byteLength >= MIN_BYTES

interface Limits {
  readonly maxElements: number
  readonly buffers?: BufferPool | undefined
}

/** Stands for numbers that are not read, of an input that the model does not take as it is stated. */
const UNREAD: readonly unknown[] = Object.freeze([])

/**
 * An infer request of the Open Inference Protocol whose numbers are typed arrays already.
 * @param signature is asked first: an input of another name or type is refused by what stands around its numbers, which are not read then
 * @returns `undefined` for anything but large bodies with flat lists of numbers that fit their shape and type: those are read the usual way, which
 *   also finds the words for what is wrong with them
 */
export function readLargeJson(body: Uint8Array, signature: ModelSignature, limits: Limits): Record<string, unknown> | undefined {
  const found = findDataSpans(body)
  if (!found) return undefined
  const request = envelopeOf(found.envelope)
  if (!request || !Array.isArray(request.inputs)) return undefined
  for (const [index, span] of found.spans) {
    const input: unknown = request.inputs[index]
    if (!isObject(input)) return undefined
    const elements = isWanted(input, signature) ? elementsAt(input, body, span, limits) : UNREAD
    if (!elements) return undefined
    ;(input as Record<string, unknown>).data = elements
  }
  return request
}

function envelopeOf(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const request = parseBody(bytes, { exact: false })
    return isObject(request) ? request : undefined
  } catch {
    return undefined
  }
}

const isWanted = ({ name, datatype }: Readonly<Record<string, unknown>>, { inputs }: ModelSignature): boolean =>
  inputs.some((info) => info.name === name && typeof datatype === 'string' && info.type === fromWireType(datatype))

function elementsAt(
  { datatype, shape }: Readonly<Record<string, unknown>>,
  body: Uint8Array,
  { from, to }: Span,
  { maxElements, buffers }: Limits,
): unknown {
  const type = typeof datatype === 'string' ? fromWireType(datatype) : undefined
  if (type === undefined || !Array.isArray(shape) || !shape.every(isSize)) return undefined
  const count = product(shape)
  const scanner = count <= maxElements ? createNumberScanner(type, body, from, to, count, buffers) : undefined
  return scanner?.read(Number.POSITIVE_INFINITY) === 'done' ? scanner.elements : undefined
}

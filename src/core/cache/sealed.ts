/**
 * Encodes results for a store that others can reach. An HMAC over key and content seals each value.
 * A damaged, forged, truncated or moved value is not read at all. Values are not encrypted.
 */

import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'
import { allocate, isDType } from '../tensor/index.ts'
import type { Tensor } from '../tensor/types.ts'
import { createUnframing, framed, type Unframing } from './framing.ts'
import type { Outputs } from './kept.ts'
import { writeTensor } from './key.ts'

/** First byte of every value. */
const FORMAT = 1
const MAC_BYTES = 32
const MAX_RANK = 64

export interface Unsealed {
  readonly outputs: Outputs
  /** Time of its computation, in milliseconds since 1970. */
  readonly wallMs: number
}

export function seal(secret: KeyObject, key: string, { outputs, wallMs }: Unsealed): Uint8Array {
  const content = framed((framing) => {
    framing.number(wallMs)
    const names = Object.keys(outputs)
    framing.number(names.length)
    for (const name of names) {
      const tensor = outputs[name]
      framing.text(name)
      if (tensor) writeTensor(framing, tensor)
    }
  })
  return Buffer.concat([Uint8Array.of(FORMAT), macOf(secret, key, content), content])
}

/** `undefined` for anything that {@link seal} did not make for this very key with this secret. */
export function unseal(secret: KeyObject, key: string, value: Uint8Array): Unsealed | undefined {
  if (value.byteLength < 1 + MAC_BYTES || value[0] !== FORMAT) return undefined
  const content = value.subarray(1 + MAC_BYTES)
  if (!timingSafeEqual(value.subarray(1, 1 + MAC_BYTES), macOf(secret, key, content))) return undefined
  const from = createUnframing(content)
  const wallMs = from.number()
  const count = from.count(content.byteLength)
  if (wallMs === undefined || !Number.isFinite(wallMs) || count === undefined) return undefined
  const outputs: Record<string, Tensor> = Object.create(null)
  for (let i = 0; i < count; i++) {
    const name = from.text()
    const tensor = readTensor(from, content.byteLength)
    if (name === undefined || tensor === undefined) return undefined
    outputs[name] = tensor
  }
  return from.atEnd() ? { outputs, wallMs } : undefined
}

function macOf(secret: KeyObject, key: string, content: Uint8Array): Buffer {
  return createHmac('sha256', secret).update(Uint8Array.of(FORMAT)).update(`${key.length}:${key}`).update(content).digest()
}

/** @param limit no count can exceed the bytes that hold the counted items */
function readTensor(from: Unframing, limit: number): Tensor | undefined {
  const type = from.text()
  const rank = from.count(MAX_RANK)
  if (!isDType(type) || rank === undefined) return undefined
  const dims: number[] = []
  let elements = 1
  for (let axis = 0; axis < rank; axis++) {
    const dim = from.count(Number.MAX_SAFE_INTEGER)
    if (dim === undefined) return undefined
    dims.push(dim)
    elements *= dim
  }
  if (type === 'string') {
    if (from.count(limit) !== elements) return undefined
    const data: string[] = []
    while (data.length < elements) {
      const text = from.text()
      if (text === undefined) return undefined
      data.push(text)
    }
    return { type, dims, data }
  }
  const bytes = from.bytes()
  if (bytes === undefined || elements > bytes.byteLength) return undefined
  const data = allocate(type, elements)
  if (data.byteLength !== bytes.byteLength) return undefined
  new Uint8Array(data.buffer).set(bytes)
  return { type, dims, data } as Tensor
}

/**
 * Defines when two requests are equal, as bytes and as a key. The key is an HMAC.
 * Without the secret, no one can search for two inputs that share a key, and a leaked key reveals nothing about its inputs.
 */

import { createHmac, type KeyObject } from 'node:crypto'
import type { Tensor } from '../tensor/types.ts'
import { createFraming, type Framing, framed } from './framing.ts'

/** The part of a key that all requests of one load have in common. */
export interface LoadIdentity {
  readonly model: string
  readonly version: string
  /** Differs for another file under the same name and version. */
  readonly load: string
}

export interface KeyedRequest {
  readonly inputs: Readonly<Record<string, Tensor>>
  readonly fetches: readonly string[]
  /** An unshared run may differ in the last bit from a shared one, so they are kept apart. */
  readonly shareable: boolean
  readonly tenant: string | undefined
}

/** Raised whenever the bytes below change their meaning: keys also live in stores that outlast a release. */
const SCHEMA = 1

export const identityBytes = ({ model, version, load }: LoadIdentity): Uint8Array =>
  framed((framing) => {
    framing.number(SCHEMA)
    framing.text(model)
    framing.text(version)
    framing.text(load)
  })

/**
 * Equal exactly for requests that must get the same answer: same load, tenant, outputs (in any order) and inputs (in any order).
 * Inputs are equal if their element type, shape and bits are. `0` and `-0` are different bits, and so are two NaNs with different
 * payloads.
 */
export function writeRequest(framing: Framing, identity: Uint8Array, request: KeyedRequest): void {
  const { inputs, fetches, shareable, tenant } = request
  framing.bytes(identity)
  framing.number(shareable ? 1 : 0)
  framing.number(tenant === undefined ? 0 : 1)
  framing.text(tenant ?? '')
  framing.number(fetches.length)
  for (const name of sorted(fetches)) framing.text(name)
  const names = Object.keys(inputs)
  framing.number(names.length)
  for (const name of sorted(names)) {
    const tensor = inputs[name]
    framing.text(name)
    if (tensor) writeTensor(framing, tensor)
  }
}

/** Also the stored form of an output. */
export function writeTensor(framing: Framing, { type, dims, data }: Tensor): void {
  framing.text(type)
  framing.number(dims.length)
  for (const dim of dims) framing.number(dim)
  if (type === 'string') {
    framing.number(data.length)
    for (const element of data) framing.text(element)
  } else {
    // Little-endian, like every platform that onnxruntime-node supports.
    framing.bytes(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  }
}

const sorted = (names: readonly string[]): readonly string[] => (names.length > 1 ? [...names].sort() : names)

export function keyOf(secret: KeyObject, identity: Uint8Array, request: KeyedRequest): string {
  const hmac = createHmac('sha256', secret)
  const framing = createFraming((chunk) => hmac.update(chunk))
  writeRequest(framing, identity, request)
  framing.end()
  return hmac.digest('base64url')
}

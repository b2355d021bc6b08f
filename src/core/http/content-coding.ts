/** Compressed bodies, both ways: gzip and deflate (which is zlib's format, RFC 9110, 8.4.1.2), always off the host's thread. */

import { promisify } from 'node:util'
import { constants, deflate, gunzip, gzip, inflate } from 'node:zlib'
import { ModelmountError } from '../errors.ts'
import type { HttpRequest, HttpResponse } from '../types.ts'
import { bytesIn, joined } from './rest.ts'

const UNPACK = { gzip: promisify(gunzip), deflate: promisify(inflate) }
const PACK = { gzip: promisify(gzip), deflate: promisify(deflate) }

type Coding = keyof typeof UNPACK

const CODINGS: ReadonlyMap<string, Coding> = new Map([
  ['gzip', 'gzip'],
  ['x-gzip', 'gzip'],
  ['deflate', 'deflate'],
])

/** Smaller answers gain nothing. */
const SMALLEST_BYTES = 1024

/** The fastest level: tensors hardly compress better at others, and the CPU is the models'. */
const LEVEL = { level: constants.Z_BEST_SPEED }

/** Bytes that one step of unpacking may produce: few steps for large bodies, little memory for small ones. */
const chunkFor = (bytes: number): number => Math.min(Math.max(bytes * 4, 1024), 256 * 1024)

/**
 * The body as it was before the client packed it. Unpacking stops at the limit, so a bomb costs no more than an honest body.
 * A body that something before us has parsed is left as it is.
 * @throws ModelmountError `MEDIA_TYPE_UNSUPPORTED`, `BODY_TOO_LARGE`, `REQUEST_INVALID`
 */
export function unpacked({ headers, body }: HttpRequest, maxBytes: number): unknown {
  const stated = headers['content-encoding']
  if (stated === undefined || stated === '' || !(body instanceof Uint8Array)) return body
  const name = String(stated).trim().toLowerCase()
  if (name === 'identity') return body
  const coding = CODINGS.get(name)
  if (!coding) {
    const [expected, got] = ['gzip, deflate or identity', name.slice(0, 100)]
    throw new ModelmountError('MEDIA_TYPE_UNSUPPORTED', `content-encoding must be ${expected}, got ${got}`, {
      details: { field: 'content-encoding', expected, got },
    })
  }
  return unpack(coding, body, maxBytes)
}

async function unpack(coding: Coding, body: Uint8Array, maxBytes: number): Promise<Uint8Array> {
  try {
    return await UNPACK[coding](body, { maxOutputLength: maxBytes, chunkSize: chunkFor(body.byteLength) })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw new ModelmountError('BODY_TOO_LARGE', `the unpacked body is larger than ${maxBytes} bytes`)
    throw new ModelmountError('REQUEST_INVALID', `the body is not valid ${coding}, as content-encoding says`, {
      details: { field: 'content-encoding', expected: coding, got: 'other bytes' },
      cause,
    })
  }
}

/** An answer, packed if the client asks for it and it is large enough. */
export function packed(response: HttpResponse, { headers }: HttpRequest): HttpResponse | Promise<HttpResponse> {
  if (bytesIn(response) < SMALLEST_BYTES) return response
  const wanted = headers['accept-encoding']
  const varied = { ...response, headers: { ...response.headers, vary: 'accept-encoding' } }
  const coding = wanted === undefined ? undefined : preferred(String(wanted))
  return coding ? pack(varied, coding) : varied
}

async function pack(response: HttpResponse, coding: Coding): Promise<HttpResponse> {
  const body = await PACK[coding](joined(response).body, LEVEL)
  response.discard?.()
  return { status: response.status, headers: { ...response.headers, 'content-encoding': coding }, body }
}

/** The coding of the highest weight, the first of equals, as Triton chooses; other codings and `*` do not count. */
function preferred(accepted: string): Coding | undefined {
  let best: { readonly coding: Coding | undefined; readonly weight: number } = { coding: undefined, weight: 0 }
  for (const item of accepted.toLowerCase().split(',', 20)) {
    const [name = '', ...parameters] = item.split(';').map((part) => part.trim())
    const coding = CODINGS.get(name)
    if (!coding && name !== 'identity') continue
    const stated = parameters.find((parameter) => parameter.startsWith('q='))
    const weight = stated === undefined ? 1 : Number(stated.slice(2))
    if (weight > best.weight && weight <= 1) best = { coding, weight }
  }
  return best.coding
}

/**
 * Compressed bodies, always off the host's thread: gzip and deflate (which is zlib's format, RFC 9110, 8.4.1.2) both ways, and requests in Brotli, too.
 */

import { constants, createDeflate, createGzip } from 'node:zlib'
import { ModelmountError } from '../errors.ts'
import { bytesIn } from './chunks.ts'
import { through } from './through.ts'
import type { HttpRequest, HttpResponse } from './types.ts'
import type { Packing } from './unpack.ts'

const PACK = { gzip: createGzip, deflate: createDeflate }

type Coding = keyof typeof PACK

/** Of answers. */
const CODINGS: ReadonlyMap<string, Coding> = new Map([
  ['gzip', 'gzip'],
  ['x-gzip', 'gzip'],
  ['deflate', 'deflate'],
])

/** Of requests. */
const PACKINGS: ReadonlyMap<string, Packing> = new Map<string, Packing>([...CODINGS, ['br', 'br']])

/** As a client is told it (RFC 7694). */
export const TAKEN_CODINGS = 'gzip, deflate, br'

/** Most bytes that one step of packing makes. */
const MOST_CHUNK = 256 * 1024

/** Smaller answers gain nothing. */
const SMALLEST_BYTES = 1024

/** The fastest level: tensors hardly compress better at others, and the CPU is the models'. */
const LEVEL = { level: constants.Z_BEST_SPEED }

/**
 * How the client has packed a body; `undefined` for one that is not packed, or that something before us has parsed.
 * @throws ModelmountError `MEDIA_TYPE_UNSUPPORTED`
 */
export function packingOf({ headers, body }: HttpRequest): Packing | undefined {
  const stated = headers['content-encoding']
  if (stated === undefined || stated === '' || !(body instanceof Uint8Array)) return undefined
  const name = String(stated).trim().toLowerCase()
  if (name === 'identity') return undefined
  const packing = PACKINGS.get(name)
  if (packing) return packing
  const [expected, got] = ['gzip, deflate, br or identity', name.slice(0, 100)]
  throw new ModelmountError('MEDIA_TYPE_UNSUPPORTED', `content-encoding must be ${expected}, got ${got}`, {
    details: { field: 'content-encoding', expected, got },
  })
}

/** An answer, packed if the client asks for it and it is large enough. */
export function packed(response: HttpResponse, { headers }: HttpRequest): HttpResponse | Promise<HttpResponse> {
  if (bytesIn(response) < SMALLEST_BYTES) return response
  const wanted = headers['accept-encoding']
  // Every answer has headers of its own; a copy of them costs a microsecond.
  ;(response.headers as Record<string, string>).vary = 'accept-encoding'
  const coding = wanted === undefined ? undefined : preferred(String(wanted))
  return coding ? pack(response, coding) : response
}

async function pack(response: HttpResponse, coding: Coding): Promise<HttpResponse> {
  const { status, body: first, moreChunks: more = [] } = response
  const stream = PACK[coding]({ ...LEVEL, chunkSize: Math.min(bytesIn(response), MOST_CHUNK) })
  const [body = new Uint8Array(0), ...moreChunks] = await through(stream, [first, ...more])
  response.discard?.()
  const headers = { ...response.headers, 'content-encoding': coding }
  return moreChunks.length > 0 ? { status, headers, body, moreChunks } : { status, headers, body }
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

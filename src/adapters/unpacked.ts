/**
 * Whether a hook of the app (`@fastify/compress`, for one) has unpacked a body before it gets here. Such hooks leave the header as it was,
 * because the request belongs to the client.
 */

import type { Readable } from 'node:stream'
// Not by name: an older Node lacks some, and webpack makes a named import of each that is read of a namespace.
import zlib from 'node:zlib'

const { BrotliDecompress, Gunzip, Inflate, InflateRaw, Unzip, ZstdDecompress } = zlib as Readonly<Record<string, unknown>>

/** Zstandard came with Node 22. */
const UNPACKERS = [Gunzip, Inflate, InflateRaw, Unzip, BrotliDecompress, ZstdDecompress].filter(
  (unpacker) => typeof unpacker === 'function',
)

/** @param stream what an app has put in place of a request's own body */
export const isUnpacked = (stream: Readable): boolean =>
  // Fastify has a hook set the second where the bytes that it gives are not those that came over the wire.
  UNPACKERS.some((unpacker) => stream instanceof unpacker) || 'receivedEncodedLength' in stream

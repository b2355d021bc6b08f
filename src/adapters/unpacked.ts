/**
 * Detects whether a hook of the app (`@fastify/compress`, for one) has unpacked a body before it gets here. Such hooks leave the header
 * unchanged, because the request belongs to the client.
 */

import type { Readable } from 'node:stream'
// Not by name: an older Node lacks some, and webpack makes a named import of each name that is read from a namespace.
import zlib from 'node:zlib'

const { BrotliDecompress, Gunzip, Inflate, InflateRaw, Unzip, ZstdDecompress } = zlib as Readonly<Record<string, unknown>>

/** Zstandard came with Node 22. */
const UNPACKERS = [Gunzip, Inflate, InflateRaw, Unzip, BrotliDecompress, ZstdDecompress].filter(
  (unpacker) => typeof unpacker === 'function',
)

/** @param stream the app's replacement for a request's own body */
export const isUnpacked = (stream: Readable): boolean =>
  // Fastify requires hooks to set the second if their bytes differ from those on the wire.
  UNPACKERS.some((unpacker) => stream instanceof unpacker) || 'receivedEncodedLength' in stream

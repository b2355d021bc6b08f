/** Unpacks a body piece by piece, off the host's thread, and stops at the first piece that is too much. */

import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import { ModelmountError } from '../errors.ts'
import { type AbortSignalLike, onAbort } from '../host/abort.ts'
import { tooMuchInFlight } from './inflight.ts'
import type { HeldBytes } from './types.ts'

const UNPACKERS = { gzip: createGunzip, deflate: createInflate, br: createBrotliDecompress }

export type Packing = keyof typeof UNPACKERS

/** Beyond the first of these, a body may unpack to so many times its size: numbers and text hardly do, nothing but bombs does. */
const FREE_BYTES = 1024 * 1024
const MOST_TIMES = 100

/** True for a packed body of so many bytes that may unpack to more than 1 MiB. */
export const mayUnpackToMuch = (bytes: number): boolean => bytes * MOST_TIMES > FREE_BYTES

export interface UnpackOptions {
  /** Follows the body, where it came in pieces. */
  readonly moreChunks?: readonly Uint8Array[] | undefined
  readonly maxBytes: number
  readonly held: HeldBytes
  readonly signal?: AbortSignalLike | undefined
}

/** Bytes that one step may produce: few steps for large bodies, little memory for small ones. */
const chunkFor = (bytes: number): number => Math.min(Math.max(bytes * 4, 1024), 256 * 1024)

/**
 * @returns pieces in memory without another owner; at least one
 * @throws ModelmountError `BODY_TOO_LARGE`, `OVERLOADED`, `REQUEST_INVALID`, `ABORTED`
 */
export function unpack(
  packing: Packing,
  body: Uint8Array,
  { moreChunks = [], maxBytes, held, signal }: UnpackOptions,
): Promise<readonly Uint8Array[]> {
  const size = moreChunks.reduce((sum, { byteLength }) => sum + byteLength, body.byteLength)
  const limit = Math.min(maxBytes, Math.max(FREE_BYTES, MOST_TIMES * size))
  return new Promise((resolve, reject) => {
    const stream = UNPACKERS[packing]({ chunkSize: chunkFor(size) })
    const found: Uint8Array[] = []
    let length = 0
    const stop = signal && onAbort(signal, () => fail(new ModelmountError('ABORTED', 'the request was aborted')))
    const fail = (error: ModelmountError): void => {
      stop?.()
      stream.destroy()
      reject(error)
    }
    stream.on('data', (piece: Uint8Array) => {
      length += piece.byteLength
      if (length > limit) fail(tooLarge(limit, maxBytes))
      else if (held.add(piece.byteLength)) found.push(piece)
      else fail(tooMuchInFlight())
    })
    stream.on('error', (cause) => fail(invalid(packing, cause)))
    stream.on('end', () => {
      stop?.()
      resolve(found.length > 0 ? found : [new Uint8Array()])
    })
    for (const piece of [body, ...moreChunks]) stream.write(piece)
    stream.end()
  })
}

const tooLarge = (limit: number, maxBytes: number): ModelmountError =>
  new ModelmountError(
    'BODY_TOO_LARGE',
    limit < maxBytes
      ? `the body unpacks to more than ${MOST_TIMES} times its size`
      : `the unpacked body is larger than ${maxBytes} bytes`,
  )

const invalid = (packing: Packing, cause: unknown): ModelmountError =>
  new ModelmountError('REQUEST_INVALID', `the body is not valid ${packing}, as content-encoding says`, {
    details: { field: 'content-encoding', expected: packing, got: 'other bytes' },
    cause,
  })

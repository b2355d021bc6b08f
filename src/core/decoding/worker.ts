/** The decoding thread: bodies in, tensors out. It waits for nothing and keeps nothing. */

import { parentPort } from 'node:worker_threads'
import { type Decoder, DIALECTS, decodersOf } from '../dialects/index.ts'
import { isModelmountError } from '../errors.ts'
import { decodeBody } from './jobs.ts'
import type { Answer, Ask } from './messages.ts'
import { packRequest } from './parcel.ts'

const DECODERS = decodersOf(DIALECTS)

const whole = (pieces: readonly Uint8Array[]): Uint8Array => {
  const [first = new Uint8Array()] = pieces
  return pieces.length > 1 ? Buffer.concat(pieces) : first
}

function answerTo({ kind, pieces, signature, opts }: Ask): { readonly answer: Answer; readonly transfer: ArrayBuffer[] } {
  try {
    const { parcel, transfer } = packRequest(decodeBody(DECODERS.get(kind) as Decoder, whole(pieces), signature, opts))
    return { answer: { kind: 'decoded', parcel }, transfer }
  } catch (error) {
    return { answer: failureOf(error), transfer: [] }
  }
}

function failureOf(error: unknown): Answer {
  if (isModelmountError(error)) return { kind: 'refused', code: error.code, message: error.message, details: error.details }
  return { kind: 'failed', reason: error instanceof Error ? (error.stack ?? error.message) : String(error) }
}

parentPort?.on('message', (ask: Ask) => {
  const { answer, transfer } = answerTo(ask)
  parentPort?.postMessage(answer, transfer)
})

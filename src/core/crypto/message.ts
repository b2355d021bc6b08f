/**
 * One file as a message of the AWS Encryption SDK, format version 2: AES-256-GCM in frames, keys committed to, the context authenticated
 * (https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/message-format.html).
 */

import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { type Duplex, Readable, type Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { MessageHeader } from '@aws-crypto/decrypt-node'
import { type Collected, withCollector } from '../integrity/index.ts'
import { type Context, checkContext } from './context.ts'
import { createKeyring } from './keyring.ts'
import { piecesOf } from './pieces.ts'
import { refusalOf } from './refusal.ts'
import { loadSdk, type Sdk } from './sdk.ts'
import type { KeyProvider } from './types.ts'

/** Frames are large: each is authenticated, buffered and released as a whole. */
const FRAME_BYTES = 1024 * 1024

export interface Header {
  readonly context: Context
  readonly keyId: string
}

/** An incoming message. */
interface Reader {
  readonly stream: ReturnType<Sdk['decrypting']['decryptUnsignedMessageStream']>
  /** Resolves once it was read and authenticated, if its context is the expected one. */
  readonly header: Header | undefined
}

/** The library's streams may fail once more after the pipeline has ended, with no listener left, which would end the process. */
const heard = (): void => {}

function createReader(sdk: Sdk, keys: KeyProvider, expected: Partial<Context>, file: string, onHeader?: () => void): Reader {
  const keyring = createKeyring(sdk, keys)
  const stream = sdk.decrypting.decryptUnsignedMessageStream(keyring.node)
  stream.on('error', heard)
  let header: Header | undefined
  stream.once('MessageHeader', ({ encryptionContext }: MessageHeader) => {
    try {
      header = { context: checkContext({ ...encryptionContext }, expected, file), keyId: keyring.usedId }
      onHeader?.()
    } catch (error) {
      stream.destroy(error as Error)
    }
  })
  return {
    stream,
    get header() {
      return header
    },
  }
}

/**
 * Encrypts a stream into a sink, and ends the sink.
 * @param size of the plain text in bytes; `undefined` if unknown beforehand
 * @returns the id of the encryption key
 * @throws ModelmountError `MODEL_LOAD_FAILED`, and errors of the source; discard the sink's contents then
 */
export async function encryptTo(
  sink: Writable,
  source: AsyncIterable<Uint8Array>,
  size: number | undefined,
  context: Context,
  keys: KeyProvider,
  file: string,
): Promise<string> {
  const sdk = await loadSdk()
  const keyring = createKeyring(sdk, keys)
  const cipher = sdk.encrypting.encryptStream(keyring.node, {
    suiteId: sdk.materials.AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY,
    encryptionContext: { ...context },
    frameLength: FRAME_BYTES,
    ...(size === undefined ? {} : { plaintextLength: size }),
  })
  try {
    await Promise.all([feed(cipher, source), empty(cipher, sink)])
  } catch (error) {
    throw refusalOf(error, file)
  }
  return keyring.usedId
}

/**
 * The library's encrypting stream must reach its end. If it is destroyed, as `pipeline()` would do, an uncatchable error ends the process.
 * A failing source therefore ends it, and bytes that a broken sink refuses are dropped.
 */
async function feed(cipher: Duplex, source: AsyncIterable<Uint8Array>): Promise<void> {
  let failed = false
  cipher.once('error', () => {
    failed = true
  })
  try {
    for await (const chunk of source) {
      if (failed) return
      if (!cipher.write(chunk)) await once(cipher, 'drain')
    }
  } finally {
    cipher.end()
  }
}

function empty(cipher: Duplex, sink: Writable): Promise<void> {
  return new Promise((resolve, reject) => {
    let broken = false
    const fail = (error: Error): void => {
      broken = true
      cipher.resume()
      reject(error)
    }
    sink.on('error', fail)
    cipher.on('error', fail)
    sink.on('drain', () => cipher.resume())
    sink.on('finish', resolve)
    cipher.on('data', (chunk: Uint8Array) => {
      if (!broken && !sink.write(chunk)) cipher.pause()
    })
    cipher.on('end', () => {
      if (!broken) sink.end()
    })
  })
}

/**
 * Decrypts a file into a sink. The sink's contents are worthless before this resolves: a truncated message shows only at its end.
 * @param expected the pairs of its context that are known beforehand
 * @param sinks the last one takes the bytes, the others see them pass
 * @throws ModelmountError `MODEL_UNTRUSTED`, `MODEL_LOAD_FAILED`
 */
export async function decryptTo(
  sinks: readonly [...Transform[], Writable],
  path: string,
  expected: Partial<Context>,
  keys: KeyProvider,
  file: string,
): Promise<Header> {
  const sdk = await loadSdk()
  const reader = createReader(sdk, keys, expected, file)
  // A frame is deciphered before its plain text comes out, and plain text is shorter than its part of the message.
  let plainBytes = 0
  reader.stream.on('data', (plain: Uint8Array) => {
    plainBytes += plain.length
  })
  try {
    const message = Readable.from(
      piecesOf(path, FRAME_BYTES, () => plainBytes),
      { objectMode: false },
    )
    await pipeline([message, reader.stream, ...sinks])
  } catch (error) {
    throw refusalOf(error, file)
  }
  if (!reader.header) throw refusalOf(new RangeError('the message has no header'), file)
  return reader.header
}

/** The header of a message, without the rest. */
export async function readHeader(path: string, expected: Partial<Context>, keys: KeyProvider, file: string): Promise<Header> {
  const sdk = await loadSdk()
  const seen = new AbortController()
  const reader = createReader(sdk, keys, expected, file, () => seen.abort())
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  try {
    await pipeline([createReadStream(path), reader.stream, nowhere], { signal: seen.signal })
  } catch (error) {
    if (!reader.header) throw refusalOf(error, file)
  }
  if (!reader.header) throw refusalOf(new RangeError('the message has no header'), file)
  return reader.header
}

export interface InMemory extends Header, Collected {}

/** A plain file that exists in memory only, returned once every byte was authenticated. */
export async function decryptToMemory(
  path: string,
  expected: Partial<Context>,
  keys: KeyProvider,
  file: string,
): Promise<InMemory> {
  // Never longer than the message.
  const { size } = await stat(path).catch((error: unknown) => {
    throw refusalOf(error, file)
  })
  return withCollector(size, async (collector) => {
    const sink = new Writable({
      write(piece: Uint8Array<ArrayBuffer>, _encoding, done) {
        try {
          const room = collector.add(piece)
          if (room) room.then(() => done(), done)
          else done()
        } catch (error) {
          done(error as Error)
        }
      },
    })
    const header = await decryptTo([sink], path, expected, keys, file)
    return { ...header, ...(await collector.end()) }
  })
}

/** Reading a body: whatever ends it, no timer and no listener is left to act on what comes after it. */

import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import type { ModelServer } from 'modelmount'
import { fetchHandler } from 'modelmount/fetch'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { DISCARD_BYTES, DISCARD_MS, discardRest, readBody } from '../../src/adapters/body.ts'
import { json } from '../../src/core/dialects/index.ts'
import { createHandler } from '../../src/core/http/handler.ts'
import { createInFlight } from '../../src/core/http/inflight.ts'
import { NO_PREDICTIONS } from '../support/no-predictions.ts'
import { turns } from '../support/server.ts'

type Pull = (stream: ReadableStreamDefaultController<Uint8Array>) => void

const LIMITS = { maxBodyBytes: 100, bodyTimeoutMs: 1000 }
const held = () => createInFlight(1000).hold()
const EVENTS = ['data', 'end', 'error', 'close', 'readable']

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
})

const listeners = (stream: PassThrough): Record<string, number> =>
  Object.fromEntries(EVENTS.map((name) => [name, stream.listenerCount(name)]))

/** How a body may end, in the turns that come after its beginning. */
const ENDS: Readonly<Record<string, readonly [(stream: PassThrough) => unknown, string]>> = {
  'as a whole': [(stream) => stream.end('0123456789'), 'body'],
  empty: [(stream) => stream.end(), 'body'],
  'in two pieces': [
    async (stream) => {
      stream.write('01234')
      await turns()
      stream.end('56789')
    },
    'body',
  ],
  'to the last byte that is allowed': [
    async (stream) => {
      stream.write('x'.repeat(99))
      await turns()
      stream.end('x')
    },
    'body',
  ],
  'too late': [() => vi.advanceTimersByTimeAsync(1000), 'too-slow'],
  'too large': [
    async (stream) => {
      stream.write('x'.repeat(100))
      await turns()
      stream.write('x')
    },
    'too-large',
  ],
  'with its client': [(stream) => stream.destroy(), 'gone'],
  'with an error': [(stream) => stream.destroy(new Error('reset')), 'gone'],
}

describe.each([false, true])('readBody(), in pieces: %s', (inPieces) => {
  test.each(Object.entries(ENDS))('a body that ends %s', async (_, [end, kind]) => {
    const stream = new PassThrough()
    stream.on('error', () => {})
    const before = listeners(stream)
    const reading = readBody(stream, undefined, LIMITS, held(), inPieces)
    await turns()
    expect(vi.getTimerCount()).toBe(1)
    await end(stream)
    const read = await reading
    expect(read.kind).toBe(kind)
    expect(vi.getTimerCount()).toBe(0)
    expect(listeners(stream)).toEqual(before)
  })
})

test('a body that is there already needs neither', async () => {
  const stream = new PassThrough()
  stream.end('0123456789')
  const before = listeners(stream)
  expect(await readBody(stream, '10', LIMITS, held())).toMatchObject({ kind: 'body' })
  expect(vi.getTimerCount()).toBe(0)
  expect(listeners(stream)).toEqual(before)
  expect((await readBody(new PassThrough(), '101', LIMITS, held())).kind).toBe('too-large')
  expect(vi.getTimerCount()).toBe(0)
})

describe('discardRest()', () => {
  const refused = (): PassThrough => {
    const stream = new PassThrough()
    discardRest(stream as unknown as IncomingMessage)
    return stream
  }

  test('drops what comes, until it ends, and leaves no timer', async () => {
    const stream = refused()
    stream.write(new Uint8Array(1000))
    stream.end()
    await turns()
    expect([stream.readableEnded, vi.getTimerCount()]).toEqual([true, 0])
  })

  test('gives up after a time, and after so many bytes', async () => {
    const slow = refused()
    await vi.advanceTimersByTimeAsync(DISCARD_MS - 1)
    expect(slow.destroyed).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(slow.destroyed).toBe(true)
    const large = refused()
    const piece = new Uint8Array(DISCARD_BYTES / 16)
    for (let i = 0; i < 16; i++) {
      large.write(piece)
      await turns()
    }
    expect(large.destroyed).toBe(false)
    large.write(new Uint8Array(1))
    await turns()
    expect(large.destroyed).toBe(true)
    await turns()
    expect(vi.getTimerCount()).toBe(0)
  })

  test('does nothing to a body that has ended', () => {
    const stream = new PassThrough().destroy()
    discardRest(stream as unknown as IncomingMessage)
    expect(vi.getTimerCount()).toBe(0)
  })
})

test('fetchHandler(): whatever ends a body, no timer is left', async () => {
  const deps = { ...NO_PREDICTIONS, maxBodyBytes: 1000, bodyTimeoutMs: 500, inFlight: createInFlight(10_000), report() {} }
  const routes = [{ method: 'POST', path: '/v2', action: 'read', handle: () => json(200, {}) }] as const
  const handler = createHandler([{ owns: () => true, routes }], deps)
  const handle = fetchHandler({ http: { ...handler, mount: () => handler } } as unknown as ModelServer)
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
  const ask = (pull: Pull) => {
    const body = new ReadableStream<Uint8Array>({ pull })
    return handle(new Request('http://a/v2', { method: 'POST', body, duplex: 'half' } as RequestInit))
  }
  const before = vi.getTimerCount()
  const ends: readonly (readonly [Pull, number])[] = [
    [
      (stream) => {
        stream.enqueue(bytes('{}'))
        stream.close()
      },
      200,
    ],
    [(stream) => stream.error(new Error('reset')), 499],
    [(stream) => stream.enqueue(new Uint8Array(600)), 413],
  ]
  for (const [pull, status] of ends) {
    expect((await ask(pull)).status).toBe(status)
    // The rest of what was refused is dropped within bounds.
    await turns()
    expect(vi.getTimerCount()).toBe(before)
  }
  const slow = ask(() => {})
  await turns()
  await vi.advanceTimersByTimeAsync(500)
  expect((await slow).status).toBe(408)
  await vi.advanceTimersByTimeAsync(DISCARD_MS)
  expect(vi.getTimerCount()).toBe(before)
})

/** Bytes in flight: whatever comes and ends in whatever order, the count is that of what is held, and zero in the end. */

import { brotliCompressSync, constants, deflateSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createInFlight } from '../../../src/core/http/inflight.ts'
import { createTurnstile } from '../../../src/core/http/turnstile.ts'
import type { HeldBytes } from '../../../src/core/http/types.ts'
import { unpack } from '../../../src/core/http/unpack.ts'

const MIB = 1024 * 1024

test('the count: random arrivals and ends, also twice, and what comes after an end', () => {
  const step = fc.record({ request: fc.nat(7), bytes: fc.nat(60), ends: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const inFlight = createInFlight(100)
      const held = Array.from({ length: 8 }, inFlight.hold)
      const counted = new Array<number>(8).fill(0)
      const over = new Set<number>()
      const sum = (): number => counted.reduce((a, b) => a + b, 0)
      for (const { request, bytes, ends } of steps) {
        const one = held[request] as HeldBytes
        if (ends) {
          one.release()
          counted[request] = 0
          over.add(request)
        } else {
          const fits = !over.has(request) && sum() + bytes <= 100
          expect(one.fits(bytes)).toBe(fits)
          expect(one.add(bytes)).toBe(fits)
          if (fits) counted[request] = (counted[request] ?? 0) + bytes
        }
        expect(inFlight.bytes).toBe(sum())
      }
      for (const one of held) one.release()
      expect(inFlight.bytes).toBe(0)
    }),
  )
})

test('the turnstile: never more inside than places, in order, and none of those that have gone', async () => {
  const move = fc.record({ kind: fc.constantFrom('enter', 'leave', 'abort'), which: fc.nat(20) })
  await fc.assert(
    fc.asyncProperty(fc.array(move, { maxLength: 60 }), async (moves) => {
      const turnstile = createTurnstile(2)
      const inside: (() => void)[] = []
      const entered: number[] = []
      const gone: number[] = []
      const stops: AbortController[] = []
      for (const { kind, which } of moves) {
        if (kind === 'enter') {
          const [stop, number] = [new AbortController(), stops.length]
          stops.push(stop)
          turnstile.enter(stop.signal).then(
            (leave) => {
              entered.push(number)
              inside.push(leave)
            },
            () => void gone.push(number),
          )
        } else if (kind === 'leave') {
          const leave = inside.splice(which % (inside.length || 1), 1)[0]
          leave?.()
          // Leaving twice admits no further body.
          leave?.()
        } else stops[which]?.abort()
        await Promise.resolve()
        await Promise.resolve()
        expect(turnstile.inside).toBe(inside.length)
        expect(turnstile.inside).toBeLessThanOrEqual(2)
        if (turnstile.waiting > 0) expect(turnstile.inside).toBe(2)
        expect(entered).toEqual([...entered].sort((a, b) => a - b))
        expect(entered.length + gone.length + turnstile.waiting).toBe(stops.length)
      }
    }),
  )
})

describe('unpacking', () => {
  const free = (bytes = 2 ** 40): HeldBytes => createInFlight(bytes).hold()
  const bytesOf = (pieces: readonly Uint8Array[]): Buffer => Buffer.concat(pieces)

  test('gives the bytes that were packed, in memory of their own', async () => {
    for (const size of [0, 1, 100, 5000, 3_000_000]) {
      const bytes = Buffer.from(Uint32Array.from({ length: Math.ceil(size / 4) }, (_, i) => i * 2654435761).buffer, 0, size)
      for (const [packing, body] of [
        ['gzip', gzipSync(bytes)],
        ['deflate', deflateSync(bytes)],
        ['br', brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })],
      ] as const) {
        const held = free()
        const pieces = await unpack(packing, body, { maxBytes: 2 ** 31, held })
        expect(bytesOf(pieces).equals(bytes)).toBe(true)
      }
    }
  })

  test('ends beyond 1 MiB and a hundred times the size, at maxBytes, and at what may be held; at the edge it does not', async () => {
    const opts = { maxBytes: 64 * MIB, held: free() }
    const coarse = { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }
    for (const [packing, pack] of [
      ['gzip', (bytes: Buffer) => gzipSync(bytes)],
      ['deflate', (bytes: Buffer) => deflateSync(bytes)],
      ['br', (bytes: Buffer) => brotliCompressSync(bytes, coarse)],
    ] as const) {
      const zeros = (n: number): Buffer => pack(Buffer.alloc(n))
      const refused = (body: Buffer, more: Partial<typeof opts>) =>
        unpack(packing, body, { ...opts, ...more }).then(
          () => 'taken',
          (error: { code?: string }) => error.code,
        )
      expect([packing, bytesOf(await unpack(packing, zeros(MIB), opts)).length]).toEqual([packing, MIB])
      expect([packing, await refused(zeros(MIB + 1), {})]).toEqual([packing, 'BODY_TOO_LARGE'])
      expect([packing, await refused(zeros(1001), { maxBytes: 1000 })]).toEqual([packing, 'BODY_TOO_LARGE'])
      expect([packing, await refused(zeros(1000), { maxBytes: 1000 })]).toEqual([packing, 'taken'])
      expect([packing, await refused(zeros(MIB), { maxBytes: MIB, held: free(MIB - 1) })]).toEqual([packing, 'OVERLOADED'])
      expect([packing, await refused(zeros(MIB), { maxBytes: MIB, held: free(MIB) })]).toEqual([packing, 'taken'])
    }
    // Stored, not packed: the ratio is about one.
    const plain = gzipSync(Buffer.alloc(3 * MIB), { level: 0 })
    expect(bytesOf(await unpack('gzip', plain, opts)).length).toBe(3 * MIB)
  })

  test('one that is aborted ends', async () => {
    const stop = new AbortController()
    const body = gzipSync(Buffer.alloc(8 * MIB), { level: 0 })
    const all = Array.from({ length: 5 }, () => unpack('gzip', body, { maxBytes: 64 * MIB, held: free(), signal: stop.signal }))
    const outcomes = Promise.allSettled(all)
    await Promise.resolve()
    stop.abort()
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'ABORTED' } })
    // Later ones are unpacked.
    expect(bytesOf(await unpack('gzip', gzipSync('x'), { maxBytes: 10, held: free() })).toString()).toBe('x')
  })
})

/** Reused memory of large inputs: its owner, how much of it may lie idle, and that its earlier contents never show. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createBufferPool, LENT_BYTES, type OwnedBufferPool, POOLED_BYTES } from '../../../src/core/engine/buffer-pool.ts'
import type { Channel, ChannelEvents } from '../../../src/core/engine/channel.ts'
import { pack, unpack } from '../../../src/core/engine/frame.ts'
import { createInstance, type LoadRequest } from '../../../src/core/engine/instance.ts'
import type { FromWorker } from '../../../src/core/engine/messages.ts'
import { isPacket, type Packet } from '../../../src/core/engine/wire/format.ts'
import { read } from '../../../src/core/engine/wire/read.ts'
import { concat } from '../../../src/core/scheduler/batch.ts'
import type { Tensor } from '../../../src/core/tensor/types.ts'
import { createSimulatedClock } from '../../support/simulated-clock.ts'
import { answered, LOADED } from '../../support/worker-messages.ts'

const MIB = 2 ** 20
const IDLE_MS = 10_000

function setUp(maxBytes = 64 * MIB) {
  const clock = createSimulatedClock()
  return { clock, buffers: createBufferPool(clock, { maxBytes, idleMs: IDLE_MS }) }
}

/** A posted buffer as its receiver sees it: the same memory in another object. The one before is detached. */
const transferred = (buffer: ArrayBufferLike): ArrayBuffer =>
  structuredClone(buffer as ArrayBuffer, { transfer: [buffer as ArrayBuffer] })

const floats = (count: number, value: number): Tensor => ({
  type: 'float32',
  dims: [1, count],
  data: new Float32Array(count).fill(value),
})

const LARGE = POOLED_BYTES / 4 + 1
/** Of the buffer that so many floats get: the next of eight sizes between two powers of two. */
const LARGE_SIZE = (POOLED_BYTES * 9) / 8

describe('buffers', () => {
  test('one that comes back from a worker is taken again, whatever type is written into it', () => {
    const { buffers } = setUp()
    const first = buffers.take(Float32Array, LARGE)
    first.fill(7)
    expect(first).toHaveLength(LARGE)
    expect(first.buffer.byteLength).toBe(LARGE_SIZE)
    buffers.put(transferred(first.buffer))
    expect(buffers.freeBytes).toBe(LARGE_SIZE)
    const second = buffers.take(BigInt64Array, LARGE / 2 + 1)
    expect(second).toHaveLength(Math.floor(LARGE / 2 + 1))
    // The same memory: a fresh one would be zero.
    expect(second[0]).not.toBe(0n)
    expect(buffers.freeBytes).toBe(0)
  })

  test('small arrays have memory of their own, and so has what is larger than all that may be kept', () => {
    const { buffers } = setUp(MIB)
    for (const length of [0, 1, POOLED_BYTES - 1, MIB + 1]) {
      const array = buffers.take(Uint8Array, length)
      expect([array.length, array.buffer.byteLength, buffers.isLent(array.buffer)]).toEqual([length, length, false])
    }
    expect(buffers.isLent(buffers.take(Uint8Array, MIB).buffer)).toBe(true)
  })

  test('smaller ones are lent to requests, and come back when these are answered', async () => {
    const { buffers } = setUp()
    for (const bytes of [1, LENT_BYTES - 1]) expect(buffers.isLent(buffers.lend(Uint8Array, bytes).buffer)).toBe(false)
    for (const bytes of [LENT_BYTES, 12 * 1024, POOLED_BYTES - 1]) {
      const data = buffers.copy(new Uint8Array(bytes).fill(7))
      expect([data.length, data[bytes - 1], buffers.isLent(data.buffer)]).toEqual([bytes, 7, true])
      buffers.releaseAfter(Promise.resolve(), { x: { type: 'uint8', dims: [bytes], data } })
      await undefined
      expect(buffers.freeBytes).toBe(data.buffer.byteLength)
      // The same memory, for the next request.
      expect(buffers.lend(Uint8Array, bytes).buffer).toBe(data.buffer)
    }
  })

  test('a copy is equal, and independent', () => {
    const { buffers } = setUp()
    const given = Float64Array.from({ length: LARGE }, (_, i) => i)
    const copy = buffers.copy(given)
    expect(copy.every((x, i) => x === i)).toBe(true)
    given[5] = -1
    expect(copy[5]).toBe(5)
    expect(buffers.copy(Uint8Array.of(1, 2))).toEqual(Uint8Array.of(1, 2))
  })

  test('what was not posted is free once its work has ended, well or badly, and what was posted is not', async () => {
    const { buffers } = setUp()
    for (const work of [Promise.resolve(), Promise.reject(new Error('no'))]) {
      const [kept, posted] = [buffers.take(Float32Array, LARGE), buffers.take(Float32Array, LARGE)]
      const own = new Float32Array(LARGE)
      const as = (data: Float32Array): Tensor => ({ type: 'float32', dims: [data.length], data })
      buffers.releaseAfter(work, { kept: as(kept), posted: as(posted), own: as(own), s: { type: 'string', dims: [0], data: [] } })
      expect(buffers.freeBytes).toBe(0)
      transferred(posted.buffer)
      await work.catch(() => {})
      await undefined
      expect(buffers.freeBytes).toBe(LARGE_SIZE)
      expect(buffers.isLent(kept.buffer)).toBe(false)
      expect(own).toHaveLength(LARGE)
      buffers.take(Float32Array, LARGE)
    }
  })

  test('nothing is free twice', async () => {
    const { buffers } = setUp()
    const data = buffers.take(Float32Array, LARGE)
    const inputs: Record<string, Tensor> = {
      x: { type: 'float32', dims: [LARGE], data },
      again: { type: 'float32', dims: [LARGE], data },
    }
    for (let i = 0; i < 3; i++) buffers.releaseAfter(Promise.resolve(), inputs)
    await undefined
    await undefined
    expect(buffers.freeBytes).toBe(LARGE_SIZE)
  })

  test('never more is kept than allowed, whatever happens: the oldest go', () => {
    const step = fc.oneof(
      fc.record({ take: fc.integer({ min: POOLED_BYTES, max: 5 * MIB }) }),
      fc.record({ back: fc.nat(20) }),
      fc.record({ pass: fc.integer({ min: 1, max: IDLE_MS }) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { clock, buffers } = setUp(6 * MIB)
        const out: ArrayBufferLike[] = []
        for (const step of steps) {
          if ('take' in step) {
            const { buffer } = buffers.take(Uint8Array, step.take)
            // It has no other owner.
            expect(out).not.toContain(buffer)
            out.push(buffer)
          } else if ('back' in step) {
            const [buffer] = out.splice(step.back % Math.max(1, out.length), 1)
            if (buffer) buffers.put(transferred(buffer))
          } else clock.runUntil(clock.now() + step.pass)
          expect(buffers.freeBytes).toBeGreaterThanOrEqual(0)
          expect(buffers.freeBytes).toBeLessThanOrEqual(6 * MIB)
        }
        clock.runUntil(clock.now() + 2 * IDLE_MS)
        expect(buffers.freeBytes).toBe(0)
      }),
      { numRuns: 50 },
    )
  })

  test('what nobody wants for a while goes, what is in use stays', () => {
    const { clock, buffers } = setUp()
    const [a, b] = [buffers.take(Uint8Array, MIB), buffers.take(Uint8Array, MIB)]
    buffers.put(transferred(a.buffer))
    buffers.put(transferred(b.buffer))
    expect(buffers.freeBytes).toBe(2 * MIB)
    // One of the two is enough for what comes.
    for (let at = 0; at < 3 * IDLE_MS; at += 1000) {
      clock.runUntil(at)
      buffers.put(transferred(buffers.take(Uint8Array, MIB).buffer))
    }
    expect(buffers.freeBytes).toBe(MIB)
    clock.runUntil(clock.now() + IDLE_MS)
    expect(buffers.freeBytes).toBe(0)
  })

  test('after close nothing is kept, also of what comes back late', () => {
    const { buffers } = setUp()
    const [a, b] = [buffers.take(Uint8Array, MIB), buffers.take(Uint8Array, MIB)]
    buffers.put(transferred(a.buffer))
    buffers.close()
    expect(buffers.freeBytes).toBe(0)
    buffers.put(transferred(b.buffer))
    expect(buffers.freeBytes).toBe(0)
    expect(buffers.take(Uint8Array, MIB)).toHaveLength(MIB)
  })
})

describe('a frame', () => {
  test('shows exactly the tensor, and says what comes back: only what was lent', () => {
    const { buffers } = setUp()
    const dirty = buffers.take(Float32Array, LARGE)
    dirty.fill(666)
    buffers.put(transferred(dirty.buffer))
    const lent = buffers.copy(new Float32Array(LARGE + 10).fill(1))
    const view = new Float32Array(4 * LARGE).subarray(LARGE, 2 * LARGE).fill(2)
    const own = floats(LARGE, 3)
    const { frame, transfer } = pack(
      [
        { lent: { type: 'float32', dims: [LARGE + 10], data: lent } },
        { view: { type: 'float32', dims: [LARGE], data: view }, own },
      ],
      buffers,
    )
    const sent = structuredClone(frame, { transfer })
    expect(lent).toHaveLength(0)
    expect(view).toHaveLength(LARGE)
    const [first, second] = unpack(sent, { share: true })
    const seen = [first?.lent, second?.view, second?.own].map((x) => x?.data as Float32Array)
    expect(seen.map(({ length }) => length)).toEqual([LARGE + 10, LARGE, LARGE])
    for (const [index, data] of seen.entries()) expect(data.every((x) => x === index + 1)).toBe(true)
    // Both copies of ours, not the array that a caller gave away.
    const { back } = read(sent)
    expect(new Set(back)).toEqual(new Set(seen.slice(0, 2).map(({ buffer }) => buffer)))
    for (const buffer of back) buffers.put(buffer)
    expect(buffers.freeBytes).toBe(back.reduce((sum, { byteLength }) => sum + byteLength, 0))
  })

  test('without a lender nothing comes back', () => {
    const view = new Float32Array(4 * LARGE).subarray(LARGE)
    const { frame } = pack([{ view: { type: 'float32', dims: [view.length], data: view } }])
    expect(read(frame).back).toEqual([])
  })

  test('a batch in used memory is the batch in fresh memory, along any axis', () => {
    const { buffers } = setUp()
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1 }),
        fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 4 }),
        (axis, rows) => {
          buffers.put(transferred(buffers.take(Float32Array, 12 * LARGE).fill(Number.NaN).buffer))
          const requests = rows.map((count, seed): Record<string, Tensor> => {
            const dims = axis === 0 ? [count, LARGE] : [LARGE, count]
            return {
              x: { type: 'float32', dims, data: Float32Array.from({ length: count * LARGE }, (_, i) => (i % 1000) + seed) },
            }
          })
          const joined = concat(requests, { x: axis }, buffers)
          expect(Buffer.compare(bytesOf(joined.x), bytesOf(concat(requests, { x: axis }).x))).toBe(0)
          buffers.put(transferred(bytesOf(joined.x).buffer))
        },
      ),
      { numRuns: 15 },
    )
  })
})

const bytesOf = (x: Tensor | undefined): Buffer => {
  if (!ArrayBuffer.isView(x?.data)) throw new Error('no numbers')
  const { buffer, byteOffset, byteLength } = x.data
  return Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength)
}

describe('an instance', () => {
  const REQUEST = { source: 'm', data: [], settings: {}, timeoutMs: 1000 } as unknown as LoadRequest

  /** A worker that answers when told. */
  function start(buffers: OwnedBufferPool) {
    const posted: Packet[] = []
    let events: ChannelEvents | undefined
    const instance = createInstance(REQUEST, {
      id: 1,
      clock: createSimulatedClock(),
      buffers,
      open(given): Channel {
        events = given
        return {
          post(message, transfer) {
            if (isPacket(message)) posted.push(structuredClone(message, { transfer }))
          },
          async close() {},
        }
      },
      onLost() {},
      onLine() {},
    })
    const say = (message: FromWorker | Packet): void => events?.onMessage(message)
    say(LOADED)
    const answer = (): void => {
      const message = posted.shift()
      if (!message) return
      const { id, back } = read(message)
      const { packet, transfer } = answered({ id, answers: [{}], back })
      say(structuredClone(packet, { transfer }))
    }
    const lent = (): Record<string, Tensor> => {
      const data = buffers.take(Float32Array, LARGE)
      return { x: { type: 'float32', dims: [LARGE], data } }
    }
    return { instance, answer, lent, exit: () => events?.onExit('gone') }
  }

  test('gives back what its worker returns, and waits for nothing from one that is gone', () => {
    const { buffers } = setUp()
    const { instance, answer, lent, exit } = start(buffers)
    const outcomes: unknown[] = []
    for (let i = 0; i < 3; i++) instance.run([{ inputs: lent(), fetches: [] }], (outcome) => outcomes.push(outcome))
    expect(buffers.freeBytes).toBe(0)
    answer()
    expect(buffers.freeBytes).toBe(LARGE_SIZE)
    exit()
    expect(outcomes.slice(1)).toEqual(['lost', 'unstarted'])
    expect(buffers.freeBytes).toBe(LARGE_SIZE)
    // There is memory for everybody who comes, whether or not it was used before.
    expect([lent(), lent(), lent()].map(({ x }) => x?.data.length)).toEqual([LARGE, LARGE, LARGE])
  })
})

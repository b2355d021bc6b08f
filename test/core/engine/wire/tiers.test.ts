/** Messages with tensors through a real thread and a real child process: each bit arrives as it was sent. */

import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Channel } from '../../../../src/core/engine/channel.ts'
import { openProcess } from '../../../../src/core/engine/process.ts'
import type { Run } from '../../../../src/core/engine/run.ts'
import { openThread } from '../../../../src/core/engine/thread.ts'
import { isPacket, type Packet } from '../../../../src/core/engine/wire/format.ts'
import { NO_NAMES, sessionNames } from '../../../../src/core/engine/wire/names.ts'
import { messageLayout, openMessage, type RowInput, seal } from '../../../../src/core/engine/wire/open.ts'
import { mapOf, read } from '../../../../src/core/engine/wire/read.ts'
import { type Answered, packAnswers, packRuns } from '../../../../src/core/engine/wire/runs.ts'
import { DTYPES } from '../../../../src/core/tensor/index.ts'
import type { DType, Tensor } from '../../../../src/core/tensor/types.ts'
import { treeFor } from '../../../support/tree.ts'

const script = vi.hoisted(() => ({ path: '' }))
vi.mock('../../../../src/core/host/scripts.ts', async (original) => ({
  ...(await original<typeof import('../../../../src/core/host/scripts.ts')>()),
  scriptPath: () => script.path,
}))

const ECHO = `
const { parentPort } = require('node:worker_threads')
if (parentPort) parentPort.on('message', (packet) => parentPort.postMessage(packet, [packet].flat()))
else process.on('message', (packet) => process.send(packet))
`

const OPEN = { thread: () => openThread, process: () => openProcess({ maxMemoryBytes: undefined }) }

/** A worker that sends back what it gets. */
function echo(tier: keyof typeof OPEN): (packet: Packet, transfer: ArrayBuffer[]) => Promise<Packet> {
  script.path = join(treeFor({ 'worker.cjs': ECHO }), 'worker.cjs')
  const waiting: ((packet: Packet) => void)[] = []
  const channel: Channel = OPEN[tier]()({
    onMessage: (message) => isPacket(message) && waiting.shift()?.(message),
    onExit() {},
    onLine() {},
  })
  onTestFinished(() => channel.close())
  return (packet, transfer) =>
    new Promise((resolve) => {
      waiting.push(resolve)
      channel.post(packet, transfer)
    })
}

const NAMES = sessionNames({ inputs: [{ name: 'a' }, { name: '__proto__' }], outputs: [{ name: 'y' }, { name: 'z' }] })
/** The last one of each is unknown to the session. */
const INPUTS = ['a', '__proto__', 'other']
const OUTPUTS = ['y', 'z', 'toString']

const TYPES = Object.keys(DTYPES) as DType[]

/** Any bits of any type, in memory of its own or as a part of other memory; sizes around the bound of large tensors. */
const tensor: fc.Arbitrary<Tensor> = fc
  .record({
    type: fc.constantFrom(...TYPES),
    length: fc.constantFrom(0, 1, 2, 3, 7, 64, 8191, 8192, 16_384),
    seed: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    apart: fc.boolean(),
    rank: fc.integer({ min: 0, max: 3 }),
    texts: fc.array(fc.string({ unit: 'binary', maxLength: 5 }), { maxLength: 4 }),
  })
  .map(({ type, length, seed, apart, rank, texts }) => {
    const dims = (count: number): number[] =>
      rank === 0 && count === 1 ? [] : [...new Array<number>(Math.max(0, rank - 1)).fill(1), count]
    if (type === 'string') return { type, dims: dims(texts.length), data: [...texts, '\ud800'].slice(0, texts.length) }
    const ArrayOf = DTYPES[type].array as typeof Uint8Array
    const at = apart ? 0 : 8
    const bytes = new Uint8Array(length * ArrayOf.BYTES_PER_ELEMENT + at)
    let state = seed
    for (let i = 0; i < bytes.length; i++) {
      state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) | 1
      bytes[i] = state >>> 11
    }
    return { type, dims: dims(length), data: new ArrayOf(bytes.buffer, at, length) } as unknown as Tensor
  })

const record = (names: readonly string[]): fc.Arbitrary<Record<string, Tensor>> =>
  fc.array(fc.tuple(fc.constantFrom(...names), tensor), { maxLength: 3 }).map((entries) => {
    const map: Record<string, Tensor> = Object.create(null)
    for (const [name, each] of entries) map[name] = each
    return map
  })

const runs: fc.Arbitrary<Run[]> = fc.array(
  fc.record({ inputs: record(INPUTS), fetches: fc.uniqueArray(fc.constantFrom(...OUTPUTS)) }),
  { maxLength: 5 },
)

const answers = fc.array(
  fc.oneof(record(OUTPUTS), fc.string({ unit: 'binary', minLength: 1 })).map((answer, inferMs = Math.random()): Answered => {
    if (typeof answer === 'string') return { inferMs, error: answer, names: [], tensors: [] }
    return { inferMs, error: '', names: Object.keys(answer), tensors: Object.values(answer) }
  }),
  { maxLength: 5 },
)

/** The same bits, which are not those of equal numbers. */
const bitsOf = (map: Readonly<Record<string, Tensor>>): unknown =>
  Object.entries(map).map(([name, { type, dims, data }]) => [
    name,
    type,
    dims,
    ArrayBuffer.isView(data) ? Buffer.from(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength).toString('hex') : data,
  ])

describe.each(['thread', 'process'] as const)('through a %s', (tier) => {
  test('runs arrive bit by bit, in fresh and in used memory', { timeout: 60_000 }, async () => {
    const send = echo(tier)
    await fc.assert(
      fc.asyncProperty(runs, fc.integer({ min: 0, max: 9 }), fc.boolean(), async (given, session, used) => {
        const wanted = given.map(({ inputs, fetches }) => [bitsOf(inputs), fetches])
        const memory = used ? new Float64Array(60_000).fill(Number.NaN).buffer : undefined
        const { packet, transfer } = packRuns(given, { session, id: 41, names: NAMES, memory })
        const got = read(await send(packet, transfer))
        expect([got.session, got.id, got.count]).toEqual([session, 41, given.length])
        const seen = Array.from({ length: got.count }, () => {
          const part = got.next(NAMES.inputs, NAMES.outputs)
          return [bitsOf(mapOf(part, { share: true })), part.wanted]
        })
        expect(isDeepStrictEqual(seen, wanted)).toBe(true)
      }),
      { numRuns: 60 },
    )
  })

  test('answers arrive with their durations and errors', { timeout: 60_000 }, async () => {
    const send = echo(tier)
    await fc.assert(
      fc.asyncProperty(answers, fc.double({ noNaN: true }), async (given, beganMs) => {
        const wanted = given.map(({ inferMs, error, ...part }) => [inferMs, error, bitsOf(mapOf(part, { share: true }))])
        const { packet, transfer } = packAnswers(given, { session: 3, id: 2 ** 40, names: NAMES, beganMs, back: [] })
        const got = read(await send(packet, transfer))
        expect([got.session, got.id, got.beganMs]).toEqual([3, 2 ** 40, beganMs])
        const seen = given.map(() => {
          const part = got.next(NAMES.outputs, NO_NAMES)
          return [part.inferMs, part.error, bitsOf(mapOf(part, { share: false }))]
        })
        expect(isDeepStrictEqual(seen, wanted)).toBe(true)
      }),
      { numRuns: 60 },
    )
  })

  test('an open message arrives with the rows that were written, whatever its memory held', { timeout: 60_000 }, async () => {
    const send = echo(tier)
    const input: fc.Arbitrary<RowInput> = fc.record({
      name: fc.constantFrom('a', '__proto__'),
      type: fc.constantFrom(...TYPES.filter((type) => type !== 'string')) as fc.Arbitrary<RowInput['type']>,
      dims: fc.constantFrom([1], [1, 3], [1, 1, 2], [1, 5000], [1, 0]),
      axis: fc.constant(0),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(input, { selector: ({ name }) => name }),
        fc.integer({ min: 1, max: 9 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (inputs, capacity, share) => {
          const rows = Math.ceil(share * capacity)
          const layout = messageLayout(NAMES, inputs, ['z', 'y'])
          const message = openMessage(layout, capacity, new Uint8Array(2 ** 20).fill(255).buffer)
          const bytes = message.inputs.map((room, i) => {
            const elements = rows * (layout.rowElements[i] as number)
            for (let at = 0; at < elements; at++) room[at] = typeof room[at] === 'bigint' ? BigInt(at) : at % 127
            return Buffer.from(room.slice(0, elements).buffer).toString('hex')
          })
          const memory = seal(message, rows, 7)
          const got = read(await send(memory, [memory]))
          const part = got.next(NAMES.inputs, NAMES.outputs)
          expect([got.id, got.count, part.wanted]).toEqual([7, 1, ['z', 'y']])
          expect(bitsOf(mapOf(part, { share: true }))).toEqual(
            inputs.map(({ name, type, dims }, i) => [name, type, [rows, ...dims.slice(1)], bytes[i]]),
          )
          // A pipe does not carry the room behind the last rows.
          if (tier === 'process') expect(got.memory.byteLength).toBeLessThan(2 ** 20)
        },
      ),
      { numRuns: 60 },
    )
  })
})

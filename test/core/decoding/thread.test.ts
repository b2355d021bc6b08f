/** The decoding thread: bounded, given up, ended, and started again; and it says what the host's thread would have said. */

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createDecoding } from '../../../src/core/decoding/index.ts'
import { packRequest, unpackRequest } from '../../../src/core/decoding/parcel.ts'
import {
  createDecodingThread,
  type DecodingThread,
  type Job,
  MOST_WAITING,
  type ThreadOptions,
} from '../../../src/core/decoding/thread.ts'
import { atOnce } from '../../../src/core/dialects/codec/index.ts'
import type { ModelSignature, Tensor } from '../../../src/core/tensor/types.ts'
import { createSimulatedClock } from '../../support/simulated-clock.ts'
import { decoderOf, type Kind, READERS } from '../dialects/decoders.ts'
import { input } from '../tensor/support.ts'

const root = new URL('../../../', import.meta.url)
const script = new URL('dist/workers/decode-worker.cjs', root)
const MAX = { maxElements: 2 ** 20, maxTextBytes: 2 ** 24 }

const signature: ModelSignature = {
  inputs: [input('x', 'float32', ['N', 2], true), input('s', 'string', ['N'], true), input('i', 'int64', ['N'], true)],
  outputs: [input('y', 'float32', ['N', 3])],
}

function threadFor(opts: ThreadOptions = {}): DecodingThread {
  const thread = createDecodingThread({ script, ...opts })
  onTestFinished(() => thread.close())
  return thread
}

const INFER = decoderOf('infer')

const decodingFor = (thread: DecodingThread = threadFor()) => createDecoding({ maxJsonBytes: 2 ** 24 }, thread)

/** Longer than what the host's thread reads by itself, by white space. */
const long = (text: string): Uint8Array => Buffer.from(text + ' '.repeat(300_000))
const numbers = (rows: number): string =>
  `{"inputs":[{"name":"x","datatype":"FP32","shape":[${rows},2],"data":[${Array.from({ length: 2 * rows }, (_, i) => i).join()}]}]}`

const job = (body: Uint8Array, signal?: AbortSignal): Job => ({ kind: 'infer', body: { body }, signature, opts: MAX, signal })

type Failure = { readonly code: string; readonly message: string; readonly details: unknown }
const failureOf = (error: unknown): Failure => {
  const { code, message, details } = error as Failure
  return { code, message, details }
}

describe('what it answers', () => {
  const BODIES: readonly (readonly [kind: Kind, text: string, mediaType?: 'csv'])[] = [
    ['infer', numbers(3)],
    [
      'infer',
      '{"inputs":[{"name":"x","datatype":"FP32","shape":[2,2],"data":[[1,2],["NaN",-0]]}],"id":"é","parameters":{"sequence_id":18446744073709551615,"__proto__":1}}',
    ],
    [
      'infer',
      '{"inputs":[{"name":"s","datatype":"BYTES","shape":[3],"data":["a","","😀"]},{"name":"i","datatype":"INT64","shape":[1],"data":[9007199254740993]}]}',
    ],
    [
      'infer',
      '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}],"outputs":[{"name":"y","parameters":{"classification":2}}]}',
    ],
    ['infer', '{"inputs":[{"name":"x","datatype":"INT64","shape":[1,2],"data":[1,2]}]}'],
    ['infer', '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,"b"]}]}'],
    ['infer', '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]}]'],
    ['infer', '{"inputs":[NaN]}'],
    ['infer', '[1]'],
    ['infer', ''],
    ['infer', '\ufeff{}'],
    ['generate', '{"s":"text","p":1}'],
    ['generate', '{"x":[1,2,3]}'],
    ['tfPredict', '{"instances":[{"x":[1,2]},{"x":[3,4]}]}'],
    ['tfPredict', '{"instances":[{"x":[1,2]},{"x":[3]}]}'],
    ['tfPredict', '{"inputs":{"s":[{"b64":"YQ=="}]}}'],
    ['invocation', '{"dataframe_records":[{"s":"a"}]}'],
    ['invocation', '{"inputs":{"x":[[1,2]]}}'],
    ['invocation', 's\na\n', 'csv'],
    ['invocation', 's\n"a', 'csv'],
  ]

  test.each(BODIES.map(([kind, text, mediaType]) => ({ kind, text, mediaType })))(
    '$kind of $text: as from the host’s thread',
    async ({ kind, text, mediaType }) => {
      const body = mediaType === 'csv' ? Buffer.from(`${text}${'\n'.repeat(300_000)}`) : long(text)
      const opts = { ...MAX, mediaType: mediaType ?? ('json' as const) }
      const outcome = async (work: () => unknown): Promise<unknown> => {
        try {
          return await work()
        } catch (error) {
          return failureOf(error)
        }
      }
      const here = await outcome(() => READERS[kind](new Uint8Array(body), signature, opts))
      const there = await outcome(() => decodingFor().decode(decoderOf(kind), { body }, signature, opts))
      expect(there).toEqual(here)
      if ('inputs' in (here as object)) expect(Object.getPrototypeOf((there as { inputs: object }).inputs)).toBe(null)
    },
  )

  test('any tensors, bit for bit', () => {
    const strings = fc.array(fc.string({ unit: 'grapheme' }))
    fc.assert(
      fc.property(strings, fc.array(fc.float({ noNaN: true })), (texts, floats) => {
        const shared = new Float32Array(floats.length + 2)
        shared.set(floats, 1)
        const inputs: Record<string, Tensor> = {
          s: { type: 'string', dims: [texts.length], data: texts },
          x: { type: 'float32', dims: [floats.length], data: shared.subarray(1, 1 + floats.length) },
        }
        const { parcel, transfer } = packRequest({ inputs })
        const arrived = structuredClone(parcel, { transfer })
        expect(atOnce(unpackRequest<{ inputs: object }>(arrived)).inputs).toEqual(Object.assign(Object.create(null), inputs))
        // Buffers with other readers stay where they are.
        expect(shared).toHaveLength(floats.length + 2)
      }),
    )
  })

  test('long strings, whatever stands where they are cut', () => {
    const places = fc.record({
      before: fc.nat({ max: 9 }),
      character: fc.constantFrom('a', 'é', '€', '𝄞', '\u{fffd}'),
      more: fc.boolean(),
    })
    fc.assert(
      fc.property(places, ({ before, character, more }) => {
        const texts = [`${'x'.repeat(before)}${character.repeat(400_000)}`, ...(more ? ['', character] : [])]
        const inputs: Record<string, Tensor> = { s: { type: 'string', dims: [texts.length], data: texts } }
        const slices = unpackRequest<{ inputs: Record<string, Tensor> }>(packRequest({ inputs }).parcel)
        for (;;) {
          const step = slices.next()
          if (step.done) {
            expect(step.value.inputs.s?.data).toEqual(texts)
            break
          }
          expect(step.value).toBeLessThanOrEqual(256 * 1024)
        }
      }),
      { numRuns: 20 },
    )
  })

  test('a buffer that nobody else has is given away, any other is left as it was', async () => {
    const thread = threadFor()
    const mine = new Uint8Array(long(numbers(3)))
    await thread.decode({ ...job(mine), body: { body: mine, given: [mine.buffer] } })
    expect(mine.byteLength).toBe(0)
    const theirs = new Uint8Array(long(numbers(3)))
    const copy = theirs.slice()
    await thread.decode(job(theirs))
    expect(Buffer.compare(theirs, copy)).toBe(0)
  })

  test('a short body starts no thread, and neither do short lists of numbers', async () => {
    const thread = threadFor({ script: new URL('file:///nowhere.cjs') })
    const { decode } = decodingFor(thread)
    expect(decode(INFER, { body: Buffer.from(numbers(3)) }, signature, MAX)).not.toBeInstanceOf(Promise)
    expect(decode(INFER, { body: Buffer.from(numbers(10_000)) }, signature, MAX)).not.toBeInstanceOf(Promise)
    await expect(decode(INFER, { body: long(numbers(3)) }, signature, MAX)).rejects.toMatchObject({ code: 'WORKER_LOST' })
  })
})

describe('its bounds', () => {
  test('so many bodies wait and no more; each finds its answer, in order', async () => {
    const thread = threadFor()
    const order: number[] = []
    const all = Array.from({ length: MOST_WAITING + 1 }, async (_, i) => {
      const { inputs } = await thread.decode(job(long(numbers(i + 1))))
      order.push(inputs[0]?.[1].dims[0] as number)
    })
    await expect(thread.decode(job(long(numbers(1))))).rejects.toMatchObject({ code: 'QUEUE_FULL', status: 503, retryAfterS: 1 })
    await Promise.all(all)
    expect(order).toEqual(Array.from({ length: MOST_WAITING + 1 }, (_, i) => i + 1))
    expect(thread.pending).toBe(0)
  })

  test('a request that is given up frees its place, waiting or under way', async () => {
    const thread = threadFor()
    const clients = Array.from({ length: MOST_WAITING + 1 }, () => new AbortController())
    const all = clients.map(({ signal }) => thread.decode(job(long(numbers(1)), signal)).catch(failureOf))
    expect(thread.pending).toBe(MOST_WAITING + 1)
    for (const client of clients) client.abort()
    expect(thread.pending).toBe(0)
    for (const outcome of await Promise.all(all)) expect(outcome).toMatchObject({ code: 'ABORTED' })
    await expect(thread.decode(job(long(numbers(1)), AbortSignal.abort()))).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(thread.decode(job(long(numbers(2))))).resolves.toBeDefined()
  })

  test('a request whose deadline passes frees its place, waiting or under way', async () => {
    const clock = createSimulatedClock()
    const thread = threadFor({ clock })
    const all = Array.from({ length: MOST_WAITING + 1 }, (_, i) =>
      thread.decode({ ...job(long(numbers(1))), deadline: i % 2 === 0 ? 100 : 200 }).catch(failureOf),
    )
    clock.runUntil(100)
    expect(thread.pending).toBe(MOST_WAITING / 2)
    clock.runUntil(200)
    expect(thread.pending).toBe(0)
    for (const outcome of await Promise.all(all)) expect(outcome).toMatchObject({ code: 'DEADLINE_EXCEEDED' })
    await expect(thread.decode({ ...job(long(numbers(1))), deadline: 200 })).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      status: 504,
    })
    await expect(thread.decode({ ...job(long(numbers(2))), deadline: 300 })).resolves.toBeDefined()
  })

  test('more JSON than maxJsonBytes, but not more binary data', async () => {
    const { decode } = createDecoding({ maxJsonBytes: 1000 }, threadFor())
    const head = '{"inputs":[{"name":"x","datatype":"FP32","shape":[500,2],"parameters":{"binary_data_size":4000}}]}'
    const body = Buffer.concat([Buffer.from(head), Buffer.alloc(4000)])
    expect(await decode(INFER, { body }, signature, { ...MAX, headerLength: head.length })).toHaveProperty('inputs')
    for (const kind of ['infer', 'generate', 'tfPredict', 'invocation'] as const)
      expect(() => decode(decoderOf(kind), { body }, signature, MAX)).toThrow(
        expect.objectContaining({ code: 'BODY_TOO_LARGE', status: 413, details: expect.objectContaining({ field: 'body' }) }),
      )
  })
})

describe('its end', () => {
  test('of memory: the body is refused, those behind it are read', async () => {
    const thread = threadFor({ heapMb: 16 })
    const rows = 450_000
    const wide: ModelSignature = { ...signature, inputs: [input('x', 'float32', ['N', 2])] }
    const nested = Buffer.from(
      `{"inputs":[{"name":"x","datatype":"FP32","shape":[${rows},2],"data":[${'[1.5,2.5],'.repeat(rows - 1)}[1,2]]}]}`,
    )
    const large = thread.decode({ ...job(nested), signature: wide })
    const behind = thread.decode(job(long(numbers(2))))
    expect(await large.catch(failureOf)).toMatchObject({ code: 'BODY_TOO_LARGE' })
    expect((await behind).inputs).toHaveLength(1)
  })

  test('by itself: the request is told, the next one has a new thread', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'decoding-'))
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
    const file = join(dir, 'dies.cjs')
    writeFileSync(file, `require('node:worker_threads').parentPort.on('message', () => process.exit(7))`)
    const thread = threadFor({ script: pathToFileURL(file) })
    for (let i = 0; i < 3; i++)
      await expect(thread.decode(job(long(numbers(1))))).rejects.toMatchObject({
        code: 'WORKER_LOST',
        status: 503,
        retryAfterS: 1,
      })
    expect(thread.pending).toBe(0)
  })

  test('with close(): who waits is told', async () => {
    const thread = threadFor()
    const all = [1, 2, 3].map((rows) => thread.decode(job(long(numbers(rows)))).catch(failureOf))
    await thread.close()
    for (const outcome of await Promise.all(all)) expect(outcome).toMatchObject({ code: 'SERVER_CLOSED' })
    await expect(thread.decode(job(long(numbers(1))))).rejects.toMatchObject({ code: 'SERVER_CLOSED' })
  })

  test('an idle thread keeps no process', async () => {
    const code = `
      import { createModelServer } from 'modelmount'
      import { identityModel } from './tools/models.mjs'
      const server = await createModelServer({ models: [{ name: 'm', source: identityModel('float', ['N']) }], logger: false })
      const body = Buffer.from(JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1], data: [1] }] }) + ' '.repeat(300000))
      const { status } = await server.http.handle({ method: 'POST', path: '/v2/models/m/infer', headers: {}, body })
      await server.close()
      console.log(status)`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', code], {
      cwd: root,
      timeout: 60_000,
    })
    expect(stdout.trim()).toBe('200')
  })
})

describe('text as binary data', () => {
  const strings = (...lengths: readonly number[]): Uint8Array =>
    Buffer.concat(
      lengths.map((length) => {
        const element = Buffer.alloc(4 + length, 'a')
        element.writeUInt32LE(length)
        return element
      }),
    )

  /** Strings of these lengths after their JSON. */
  async function decodeStrings(...lengths: readonly number[]): Promise<number> {
    const blob = strings(...lengths)
    const head = `{"inputs":[{"name":"s","datatype":"BYTES","shape":[${lengths.length}],"parameters":{"binary_data_size":${blob.length}}}]}`
    const body = Buffer.concat([Buffer.from(head), blob])
    const opts = { maxElements: 2 ** 20, headerLength: head.length }
    const decoding = createDecoding({ maxJsonBytes: 100_000 }, threadFor())
    const { inputs } = await decoding.decode(INFER, { body }, signature, opts)
    return inputs.s?.data.length ?? 0
  }

  test('as much as JSON may hold', async () => {
    expect(await decodeStrings(60_000, 40_000)).toBe(2)
  })

  test('more is refused', async () => {
    const refusal = { code: 'BODY_TOO_LARGE', status: 413, details: { field: 'inputs', got: '100001' } }
    await expect(decodeStrings(60_000, 40_001)).rejects.toMatchObject(refusal)
    await expect(decodeStrings(100_001)).rejects.toMatchObject(refusal)
  })
})

/** `predict(…, { transfer: true })`: the owner of the memory of the inputs afterwards, in every course of the call. */

import { markAsUntransferable } from 'node:worker_threads'
import type { ModelServer, PredictInputs, PredictOptions } from 'modelmount'
import { expect, test } from 'vitest'
import { addModel, identityModel } from '../../tools/models.mjs'
import { hold, workerPids } from '../support/children.ts'
import { LINUX } from '../support/needs.ts'
import { posted, provedServerFor, serverFor } from '../support/server.ts'

/** Above the size from which memory is pooled, and sent in a buffer of its own. */
const MANY = 80 * 1024

/** Element by element, `toEqual` takes seconds. */
const bytesOf = (data: unknown): string => Buffer.from(Float32Array.from(data as Float32Array).buffer).toString('latin1')
const expectSame = (data: unknown, expected: Float32Array, what?: string): void =>
  expect(bytesOf(data) === bytesOf(expected), what).toBe(true)

const counting = (length: number, from = 0): Float32Array<ArrayBuffer> => Float32Array.from({ length }, (_, i) => from + i)

/** 64 KiB that cannot be given away. The types of Node lack WebAssembly. */
function wasmMemory(): ArrayBuffer {
  type Wasm = { readonly Memory: new (opts: { readonly initial: number }) => { readonly buffer: ArrayBuffer } }
  const { Memory } = (globalThis as unknown as { readonly WebAssembly: Wasm }).WebAssembly
  return new Memory({ initial: 1 }).buffer
}

const echoServer = (more: object = {}): Promise<ModelServer> =>
  serverFor({ models: [{ name: 'm', source: identityModel() }], ...more })

async function echoed(server: ModelServer, x: PredictInputs[string], opts: PredictOptions = {}): Promise<Float32Array> {
  const { outputs } = await server.predict('m', { x }, { transfer: true, ...opts })
  return outputs.y?.data as Float32Array
}

test.each([1, 4, MANY])('an array of %i floats that is all of its buffer is left with length 0, and answered', async (length) => {
  const server = await echoServer()
  const x = counting(length)
  const { buffer } = x
  const answering = echoed(server, x)
  // At once, like the copy that it stands for.
  expect([x.length, buffer.byteLength]).toEqual([0, 0])
  expectSame(await answering, counting(length))
  // Used afterwards: it is an empty array, and no input of the next call.
  expect(x[0]).toBeUndefined()
  for (const again of [x, { type: 'float32', dims: [0], data: x } as const])
    for (const opts of [{}, { transfer: false }])
      await expect(echoed(server, again, opts)).rejects.toMatchObject({
        code: 'INPUT_INVALID',
        message: expect.stringContaining('given away'),
        details: { input: 'x', field: 'x' },
      })
  const tensor = { type: 'float32', dims: [length], data: counting(length) } as const
  expectSame(await echoed(server, tensor), counting(length))
  expect(tensor.data).toHaveLength(0)
})

test('without the option, and with false, the array stays', async () => {
  const server = await echoServer()
  const x = counting(MANY)
  for (const opts of [{}, { transfer: false }]) {
    expectSame((await server.predict('m', { x }, opts)).outputs.y?.data, counting(MANY))
    expectSame(x, counting(MANY))
  }
})

test('what shares its buffer, or may not be given away, is copied and stays', async () => {
  const server = await echoServer()
  const marked = counting(MANY)
  markAsUntransferable(marked.buffer)
  const large = counting(2 * MANY)
  const pooled = Buffer.from(counting(4).buffer.slice(0))
  const resizable = new (ArrayBuffer as unknown as new (bytes: number, opts: object) => ArrayBuffer)(64, { maxByteLength: 128 })
  const kept: Readonly<Record<string, Float32Array>> = {
    'the first part of a larger buffer': large.subarray(0, MANY),
    'the last part of a larger buffer': large.subarray(MANY),
    'shared memory': new Float32Array(new SharedArrayBuffer(4 * MANY)).fill(2),
    'a part of the pool of Buffer': new Float32Array(Buffer.from(pooled).buffer, 0, 4),
    'a memory of WebAssembly': new Float32Array(wasmMemory()).fill(3),
    'marked as untransferable': marked,
    'resizable memory': new Float32Array(resizable).fill(4),
  }
  for (const [what, x] of Object.entries(kept)) {
    const before = Float32Array.from(x)
    expectSame(await echoed(server, x), before, what)
    expectSame(x, before, what)
  }
  expectSame(large, counting(2 * MANY))
})

test('arrays of JavaScript, strings and scalars are as ever', async () => {
  const server = await serverFor({
    models: [
      { name: 'm', source: identityModel() },
      { name: 's', source: identityModel('string') },
    ],
  })
  expectSame(await echoed(server, [1, 2]), Float32Array.of(1, 2))
  const { outputs } = await server.predict('s', { x: ['a', 'b'] }, { transfer: true })
  expect(outputs.y?.data).toEqual(['a', 'b'])
  // Numbers of another class were converted into memory of the server's own.
  const rows = [Float32Array.of(1), Float32Array.of(2)]
  const nested = await serverFor({ models: [{ name: 'm', source: identityModel('float', ['N', 1]) }] })
  expectSame(await echoed(nested, rows as never), Float32Array.of(1, 2))
  expect(rows.map(({ length }) => length)).toEqual([1, 1])
})

test('two inputs of one buffer: both are answered, and both are left empty', async () => {
  const server = await serverFor({ models: [{ name: 'm', source: addModel() }] })
  const a = { type: 'float32', dims: [MANY / 4, 4], data: counting(MANY) } as const
  const b = { ...a, data: new Float32Array(a.data.buffer) }
  const { outputs } = await server.predict('m', { a, b }, { transfer: true })
  expectSame(
    outputs.sum?.data,
    counting(MANY).map((value) => 2 * value),
  )
  expect([a.data.length, b.data.length]).toEqual([0, 0])
  // A part of what the other one gives away.
  const whole = { type: 'float32', dims: [2, 4], data: counting(8) } as const
  const part = { type: 'float32', dims: [2, 4], data: new Float32Array(whole.data.buffer, 0, 8) } as const
  const third = await server.predict('m', { a: part, b: whole }, { transfer: true })
  expect(third.outputs.sum?.data).toEqual(counting(8).map((value) => 2 * value))
})

test('a call that is refused before its run is queued takes nothing', async () => {
  const server = await serverFor({ models: [{ name: 'm', source: addModel() }] })
  const a = { type: 'float32', dims: [1, 4], data: counting(4) } as const
  const b = { type: 'float32', dims: [1, 4], data: counting(4) } as const
  const good = { a, b }
  const refusals: readonly (readonly [string, PredictInputs, PredictOptions, string])[] = [
    ['other', good, {}, 'MODEL_NOT_FOUND'],
    ['m', good, { version: '9' }, 'VERSION_NOT_FOUND'],
    ['m', good, { outputs: ['other'] }, 'OUTPUT_NOT_FOUND'],
    ['m', good, { timeoutMs: -1 }, 'OPTIONS_INVALID'],
    ['m', good, { transfer: 1 as never }, 'OPTIONS_INVALID'],
    // The first input fits, the second does not.
    ['m', { a, b: { ...b, dims: [4, 1] } }, {}, 'INPUT_INVALID'],
    ['m', { a }, {}, 'INPUT_INVALID'],
  ]
  for (const [name, inputs, opts, code] of refusals)
    await expect(server.predict(name, inputs, { transfer: true, ...opts })).rejects.toMatchObject({ code })
  expect([a.data, b.data]).toEqual([counting(4), counting(4)])
})

test('a call that is refused or aborted after its check has taken them', async () => {
  const server = await echoServer()
  const [late, gone] = [counting(MANY), counting(MANY)]
  await expect(echoed(server, gone, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' })
  await server.close()
  await expect(echoed(server, late)).rejects.toMatchObject({ code: 'SERVER_CLOSED' })
  expect([gone.length, late.length]).toEqual([0, MANY])
})

test('requests that gave their memory away share runs, and have results of their own', async () => {
  const server = await provedServerFor({
    models: [{ name: 'm', source: addModel(), batching: { independentRows: true, maxDelayMs: 50, maxSize: 8 } }],
  })
  const rows = 8
  const given = Array.from({ length: rows }, (_, i) => ({ a: counting(4, i), b: counting(4, 10 * i) }))
  const results = await Promise.all(
    given.map(({ a, b }) =>
      server.predict(
        'm',
        { a: { type: 'float32', dims: [1, 4], data: a }, b: { type: 'float32', dims: [1, 4], data: b } },
        { transfer: true },
      ),
    ),
  )
  expect(results.map(({ outputs }) => outputs.sum?.data)).toEqual(
    given.map((_, i) => counting(4).map((value) => 2 * value + 11 * i)),
  )
  expect(given.every(({ a, b }) => a.length === 0 && b.length === 0)).toBe(true)
})

test('a kept result answers, and takes the memory all the same', async () => {
  const server = await echoServer({ cache: { maxBytes: 2 ** 24 } })
  const [first, second] = [counting(MANY), counting(MANY)]
  expectSame(await echoed(server, first), counting(MANY))
  const again = await server.predict('m', { x: second }, { transfer: true })
  expect(again.cached).toBe(true)
  expectSame(again.outputs.y?.data, counting(MANY))
  expect([first.length, second.length]).toEqual([0, 0])
})

test('memory that was given away outlives a lost child: requests that had not run are answered by the next', LINUX, async () => {
  const server = await serverFor({
    models: [{ name: 'm', source: identityModel(), isolation: 'process', batching: false }],
  })
  const pids = workerPids()
  hold(pids)
  const answers = Array.from({ length: 20 }, (_, i) => echoed(server, counting(MANY, i)))
  const settled = Promise.allSettled(answers)
  await posted()
  for (const pid of pids) process.kill(pid, 'SIGKILL')
  const outcomes = await settled
  const answered = outcomes.flatMap((outcome, i) => (outcome.status === 'fulfilled' ? [[i, outcome.value] as const] : []))
  for (const outcome of outcomes) if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'WORKER_LOST' })
  expect(answered.length).toBeGreaterThan(0)
  for (const [i, data] of answered) expectSame(data, counting(MANY, i))
})

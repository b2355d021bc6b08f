/** The bytes on the wire, and the result of each manner of answer. */

import { createClient, isModelmountError, type ModelmountError, type PredictInputs, type RemoteOptions } from 'modelmount/client'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { IS_LITTLE_ENDIAN, swapped } from '../../src/client/wire.ts'

const value = (name: string, datatype: string, shape: readonly number[] = [-1]) => ({ name, datatype, shape })
const DONE = { model_name: 'm', outputs: [] }

interface Sent {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly json: string
  /** The bytes behind the JSON. */
  readonly bytes: number[]
}

/** A server of one model that keeps what it is sent. */
function recording(inputs: readonly object[], opts: { binary?: boolean; url?: string; answer?: () => Response } = {}) {
  const sent: Sent[] = []
  const { binary = false, url = 'http://server/ml//', answer = () => new Response(JSON.stringify(DONE)) } = opts
  const client = createClient({
    url,
    binary,
    retries: 0,
    fetch: async (url, init) => {
      if (init?.method === 'GET') return new Response(JSON.stringify({ inputs, outputs: [] }))
      const body = init?.body as Uint8Array
      const headers = init?.headers as Record<string, string>
      const length = Number(headers['inference-header-content-length'] ?? body.byteLength)
      const json = new TextDecoder().decode(body.subarray(0, length))
      sent.push({ url: String(url), headers, json, bytes: [...body.subarray(length)] })
      return answer()
    },
  })
  const send = async (values: PredictInputs, opts?: RemoteOptions): Promise<Sent> => {
    await client.predict('m', values, opts)
    return sent.at(-1) as Sent
  }
  return { client, send }
}

const failureOf = (call: Promise<unknown>): Promise<ModelmountError> =>
  call.then(
    () => expect.unreachable('the call should have failed'),
    (error: unknown) => {
      if (!isModelmountError(error)) throw error
      return error
    },
  )

describe('a request in JSON', () => {
  test.each<readonly [string, readonly unknown[], string]>([
    ['FP32', [1.5, -0, Number.NaN], '[1.5,-0,null]'],
    ['FP64', [1e300], '[1e+300]'],
    ['FP16', [1.5, -2], '[1.5,-2]'],
    ['INT64', [2n ** 63n - 1n], '[9223372036854775807]'],
    ['BOOL', [true, false], '[true,false]'],
    ['BYTES', ['a"', 'ü'], '["a\\"","ü"]'],
  ])('of %s', async (datatype, values, data) => {
    const { json, bytes, headers } = await recording([value('x', datatype)]).send({ x: values as never })
    expect(json).toBe(`{"inputs":[{"name":"x","datatype":"${datatype}","shape":[${values.length}],"data":${data}}]}`)
    expect(bytes).toEqual([])
    expect(headers).toMatchObject({ 'content-type': 'application/json' })
    expect(headers).not.toHaveProperty('inference-header-content-length')
  })

  test('of several inputs and axes', async () => {
    const { json } = await recording([value('a', 'INT8', [2, 2]), value('b', 'FP32')]).send({
      a: [
        [1, 2],
        [3, 4],
      ],
      b: [5],
    })
    expect(JSON.parse(json)).toEqual({
      inputs: [
        { name: 'a', datatype: 'INT8', shape: [2, 2], data: [1, 2, 3, 4] },
        { name: 'b', datatype: 'FP32', shape: [1], data: [5] },
      ],
    })
  })

  test.each([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('has no word for %s', async (infinity) => {
    const error = await failureOf(recording([value('x', 'FP32')]).send({ x: [1, infinity] }))
    expect(error).toMatchObject({ code: 'INPUT_INVALID', details: { input: 'x' } })
  })

  test('with an id, outputs, parameters and a sequence', async () => {
    const { send } = recording([value('x', 'FP32')])
    const { json } = await send(
      { x: [1] },
      { id: 'i', parameters: { a: 'b', n: 1.5, left: undefined as never }, sequence: { id: 2n ** 64n - 1n, end: true } },
    )
    expect(json).toContain('"sequence_id":18446744073709551615,')
    expect(JSON.parse(json)).toMatchObject({
      id: 'i',
      parameters: { a: 'b', n: 1.5, sequence_start: false, sequence_end: true },
    })
    expect(json).not.toMatch(/left|outputs/)
    const starting = JSON.parse((await send({ x: [1] }, { sequence: { id: 's', start: true } })).json)
    expect(starting).toMatchObject({ parameters: { sequence_id: 's', sequence_start: true, sequence_end: false } })
    const { json: named } = await recording([value('x', 'FP32')], {
      answer: () => new Response(JSON.stringify({ ...DONE, outputs: [{ ...value('y', 'FP32', [1]), data: [1] }] })),
    }).send({ x: [1] }, { outputs: ['y'] })
    expect(JSON.parse(named).outputs).toEqual([{ name: 'y' }])
  })

  test('goes where the routes are, to the version that is named', async () => {
    const { send } = recording([value('x', 'FP32')])
    expect((await send({ x: [1] })).url).toBe('http://server/ml/v2/models/m/infer')
    expect((await send({ x: [1] }, { version: '2' })).url).toBe('http://server/ml/v2/models/m/versions/2/infer')
  })
})

describe('a request in bytes', () => {
  test('has them behind the JSON in order, the least significant first', async () => {
    const inputs = [value('x', 'INT16', [2]), value('s', 'BYTES', [2]), value('b', 'BOOL', [1])]
    const { json, bytes, headers } = await recording(inputs, { binary: true }).send({ x: [1, -2], s: ['ü', ''], b: [true] })
    expect(JSON.parse(json)).toEqual({
      inputs: [
        { ...value('x', 'INT16', [2]), parameters: { binary_data_size: 4 } },
        { ...value('s', 'BYTES', [2]), parameters: { binary_data_size: 10 } },
        { ...value('b', 'BOOL', [1]), parameters: { binary_data_size: 1 } },
      ],
      parameters: { binary_data_output: true },
    })
    expect(bytes).toEqual([1, 0, 254, 255, 2, 0, 0, 0, 0xc3, 0xbc, 0, 0, 0, 0, 1])
    expect(headers).toMatchObject({ 'content-type': 'application/octet-stream' })
  })

  test('asks for bytes, output by output', async () => {
    const answer = () => new Response(JSON.stringify({ ...DONE, outputs: [{ ...value('y', 'FP32', [1]), data: [1] }] }))
    const { send } = recording([value('x', 'FP32')], { binary: true, answer })
    const { json } = await send({ x: [Number.NEGATIVE_INFINITY] }, { outputs: ['y'], parameters: { a: 1 } })
    expect(JSON.parse(json)).toMatchObject({
      outputs: [{ name: 'y', parameters: { binary_data: true } }],
      parameters: { a: 1, binary_data_output: true },
    })
  })

  test('of a part of a larger array has that part', async () => {
    const data = Float32Array.of(9, 1, 9).subarray(1, 2)
    const { bytes } = await recording([value('x', 'FP32')], { binary: true }).send({ x: { type: 'float32', dims: [1], data } })
    expect(bytes).toEqual([0, 0, 128, 63])
  })
})

test('elements of a host with another byte order are turned round, each by itself', () => {
  expect(IS_LITTLE_ENDIAN).toBe(true)
  const bytes = Uint8Array.of(1, 2, 3, 4)
  expect([...swapped(bytes, 2)]).toEqual([2, 1, 4, 3])
  expect([...swapped(bytes, 4)]).toEqual([4, 3, 2, 1])
  expect([...bytes]).toEqual([1, 2, 3, 4])
})

describe('an answer in bytes', () => {
  const reply = (outputs: readonly object[], bytes: readonly number[], more: object = {}) => {
    const json = new TextEncoder().encode(JSON.stringify({ ...DONE, outputs, ...more }))
    const headers = { 'inference-header-content-length': String(json.byteLength) }
    return recording([value('x', 'FP32')], {
      answer: () => new Response(Buffer.concat([json, Uint8Array.from(bytes)]), { headers }),
    })
  }
  const sized = (name: string, datatype: string, shape: readonly number[], binary_data_size: unknown) => ({
    ...value(name, datatype, shape),
    parameters: { binary_data_size },
  })

  test('is read output by output, beside those in JSON', async () => {
    const outputs = [
      sized('i', 'INT16', [2], 4),
      { ...value('j', 'INT64', [1]), data: [7] },
      sized('s', 'BYTES', [2, 1], 10),
      sized('e', 'FP32', [0], 0),
    ]
    const bytes = [1, 0, 254, 255, 2, 0, 0, 0, 0xc3, 0xbc, 0, 0, 0, 0]
    const answer = await reply(outputs, bytes, { id: 'i', model_version: 3 }).client.predict('m', { x: [1] })
    expect(answer).toMatchObject({ id: 'i', model: 'm', version: '3' })
    expect({ ...answer.outputs }).toEqual({
      i: { type: 'int16', dims: [2], data: Int16Array.of(1, -2) },
      j: { type: 'int64', dims: [1], data: BigInt64Array.of(7n) },
      s: { type: 'string', dims: [2, 1], data: ['ü', ''] },
      e: { type: 'float32', dims: [0], data: new Float32Array() },
    })
    expect(answer.timings.totalMs).toBeGreaterThanOrEqual(0)
  })

  test.each<readonly [string, object, readonly number[]]>([
    ['fewer bytes than elements', sized('y', 'INT16', [2], 2), [1, 0]],
    ['more bytes than elements', sized('y', 'INT16', [1], 4), [1, 0, 1, 0]],
    ['a size that is no number', sized('y', 'INT16', [1], '2'), [1, 0]],
    ['a size below nothing', sized('y', 'INT16', [1], -2), [1, 0]],
    ['a size past the end', sized('y', 'INT16', [1], 2), [1]],
    ['bytes that belong to nothing', sized('y', 'INT16', [1], 2), [1, 0, 0]],
    ['fewer strings', sized('y', 'BYTES', [2], 5), [1, 0, 0, 0, 65]],
    ['more strings', sized('y', 'BYTES', [1], 10), [1, 0, 0, 0, 65, 1, 0, 0, 0, 65]],
    ['a string past its output', sized('y', 'BYTES', [1], 5), [2, 0, 0, 0, 65]],
    ['half a length', sized('y', 'BYTES', [1], 3), [0, 0, 0]],
    ['a shape of halves', sized('y', 'INT16', [0.5], 1), [1]],
    ['no name', { datatype: 'INT16', shape: [1], parameters: { binary_data_size: 2 } }, [1, 0]],
    ['data that do not fit', { ...value('y', 'INT16', [1]), data: ['a'] }, []],
  ])('with %s is refused', async (_, output, bytes) => {
    expect(await failureOf(reply([output], bytes).client.predict('m', { x: [1] }))).toMatchObject({ code: 'REMOTE_FAILED' })
  })

  test.each<readonly [unknown, string]>([
    ['1', '1'],
    [2, '2'],
    [null, ''],
    [undefined, ''],
  ])('of version %j', async (model_version, version) => {
    expect((await reply([], [], { model_version }).client.predict('m', { x: [1] })).version).toBe(version)
  })
})

describe('an error', () => {
  const answering = (status: number, headers: Record<string, string> = {}, body: unknown = 'a page') =>
    failureOf(
      recording([value('x', 'FP32')], {
        answer: () => new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers }),
      }).send({ x: [1] }),
    )

  test.each([
    [400, 'REQUEST_INVALID'],
    [404, 'MODEL_NOT_FOUND'],
    [405, 'METHOD_NOT_ALLOWED'],
    [408, 'BODY_TIMEOUT'],
    [413, 'BODY_TOO_LARGE'],
    [415, 'MEDIA_TYPE_UNSUPPORTED'],
    [418, 'REMOTE_FAILED'],
    [422, 'REQUEST_INVALID'],
    [429, 'QUOTA_EXCEEDED'],
    [500, 'INFERENCE_FAILED'],
    [503, 'MODEL_UNAVAILABLE'],
    [504, 'DEADLINE_EXCEEDED'],
  ])('of status %i without a code of ours is %s', async (status, code) => {
    for (const body of ['a page', '', [], null, { code: 7, details: 'x' }])
      expect(await answering(status, {}, body)).toMatchObject({
        code,
        message: expect.stringContaining(String(status)),
        details: { status },
        retryAfterS: undefined,
      })
  })

  test('tells where, as the server does, and nothing else of it', async () => {
    const details = { field: 'inputs[0]', input: 'x', expected: '1', got: '2', stack: 'secret', status: 1 }
    const error = await answering(400, {}, { error: 'no', code: 'INPUT_INVALID', details })
    expect(error).toMatchObject({ code: 'INPUT_INVALID', message: 'no' })
    expect(error.details).toEqual({ field: 'inputs[0]', input: 'x', expected: '1', got: '2', status: 400 })
  })

  test.each<readonly [string, number | undefined]>([
    ['0', 0],
    ['120', 120],
    ['1.5', undefined],
    ['-1', undefined],
    ['1234567890', undefined],
    ['2030-01-01', undefined],
    ['soon', undefined],
    ['Mon, nonsense GMT', undefined],
    ['Sun, 06 Nov 1994 08:49:37 GMT', 0],
    ['Mon, 30 Nov 2026 12:01:40 GMT', 100],
    ['Monday, 30-Nov-26 12:01:40 GMT', 100],
    // The oldest form says nothing of GMT.
    ['Mon Nov 30 12:01:40 2026', 100],
  ])('with Retry-After %s', async (text, seconds) => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.UTC(2026, 10, 30, 12) })
    onTestFinished(() => void vi.useRealTimers())
    expect((await answering(503, { 'retry-after': text })).retryAfterS).toBe(seconds)
  })

  test.each<readonly [string, unknown, boolean]>([
    ['ECONNREFUSED', { cause: Object.assign(new Error('x'), { code: 'ECONNREFUSED' }) }, true],
    ['ENOTFOUND', { cause: { errors: [{ code: 'ENOTFOUND' }] } }, true],
    ['ECONNRESET', { cause: Object.assign(new Error('x'), { code: 'ECONNRESET' }) }, false],
    ['http://server', {}, false],
    ['http://server', undefined, false],
    ['http://server', { cause: { code: 7, errors: [] } }, false],
  ])('of a connection tells the host alone: %s', async (text, cause, neverSent) => {
    const error = await failureOf(
      createClient({
        url: 'http://user:secret@server/ml',
        binary: false,
        retries: 0,
        fetch: () => Promise.reject(cause),
      }).predict('m', {}),
    )
    expect(error).toMatchObject({ code: 'REMOTE_UNREACHABLE', details: { neverSent } })
    expect(error.cause).toBe(cause)
    expect(error.message).toContain(text)
    expect(error.message).not.toMatch(/secret|undefined/)
  })
})

describe('when a call is made again', () => {
  const attempts = async (
    status: number,
    code: string | undefined,
    opts: RemoteOptions,
    headers: Record<string, string> = {},
  ) => {
    let posts = 0
    const client = createClient({
      url: 'http://server',
      binary: false,
      retries: 1,
      fetch: async (_url, init) => {
        if (init?.method === 'GET') return new Response(JSON.stringify({ inputs: [], outputs: [] }))
        posts++
        return new Response(JSON.stringify({ error: 'no', code }), { status, headers })
      },
    })
    await failureOf(client.predict('m', {}, opts))
    return posts
  }
  const soon = { 'retry-after': '0' }

  test.each<readonly [number, string | undefined, Record<string, string>, boolean, boolean]>([
    [503, undefined, soon, true, true],
    [429, undefined, soon, true, true],
    [503, undefined, {}, false, true],
    [429, undefined, {}, false, true],
    [502, undefined, soon, false, true],
    [500, undefined, soon, false, false],
    [503, 'WORKER_LOST', soon, false, true],
  ])('status %i, code %s, %j', async (status, code, headers, always, idempotent) => {
    expect(await attempts(status, code, {}, headers)).toBe(always ? 2 : 1)
    expect(await attempts(status, code, { idempotent: true }, headers)).toBe(idempotent ? 2 : 1)
    // A sequence is never idempotent.
    expect(await attempts(status, code, { idempotent: true, sequence: { id: 's' } }, headers)).toBe(always ? 2 : 1)
  })

  test.each([
    ['ECONNREFUSED', 2],
    ['ECONNRESET', 1],
  ])('a connection that ends in %s: %i times', async (code, times) => {
    let posts = 0
    const client = createClient({
      url: 'http://server',
      binary: false,
      retries: 1,
      fetch: async (_url, init) => {
        if (init?.method === 'GET') return new Response(JSON.stringify({ inputs: [], outputs: [] }))
        posts++
        throw new TypeError('fetch failed', { cause: { code } })
      },
    })
    await failureOf(client.predict('m', {}))
    expect(posts).toBe(times)
  })
})

test('metadata that are no list, no name, no type and no shape name their place', async () => {
  const told = async (metadata: object) =>
    failureOf(createClient({ url: 'http://s', fetch: async () => new Response(JSON.stringify(metadata)) }).signature('m')).then(
      ({ message }) => message,
    )
  const good = value('x', 'FP32')
  expect(await told({ outputs: [] })).toContain('inputs')
  expect(await told({ inputs: [], outputs: {} })).toContain('outputs')
  expect(await told({ inputs: [good, { ...good, name: 1 }], outputs: [] })).toContain('inputs[1]')
  expect(await told({ inputs: [], outputs: [{ ...good, datatype: 1 }] })).toContain('outputs[0]')
  expect(await told({ inputs: [{ ...good, shape: {} }], outputs: [] })).toContain('inputs[0].shape')
  expect(await told({ inputs: [], outputs: [{ ...good, shape: [0.5] }] })).toContain('outputs[0].shape')
})

test('metadata as they are read', async () => {
  const inputs = [value('a', 'FP32', [-1, 3]), { name: 'b', datatype: 'ODD\n', shape: null }]
  const client = createClient({ url: 'http://s', fetch: async () => new Response(JSON.stringify({ inputs, outputs: [] })) })
  expect(await client.signature('m')).toEqual({
    inputs: [
      { name: 'a', type: 'float32', declaredType: 'FP32', dims: [null, 3] },
      { name: 'b', type: undefined, declaredType: 'ODD\\x0a', dims: undefined },
    ],
    outputs: [],
  })
})

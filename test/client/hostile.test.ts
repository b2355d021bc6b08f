/** The client against servers that answer anything: it ends with its own errors, in bounded memory, and takes no output that was not asked for. */

import type { RequestListener, ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { type ClientOptions, createClient, isModelmountError, type ModelmountError, type Tensor } from 'modelmount/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Client, serveHttp } from '../support/http.ts'

const METADATA = {
  name: 'm',
  versions: ['1'],
  platform: 'x',
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
  outputs: [
    { name: 'y', datatype: 'FP32', shape: [-1] },
    { name: 'n', datatype: 'INT64', shape: [-1, 1] },
    { name: 's', datatype: 'BYTES', shape: [-1] },
  ],
}
const ANSWER = {
  model_name: 'm',
  model_version: '1',
  outputs: [
    { name: 'y', datatype: 'FP32', shape: [2], data: [7, null] },
    { name: 'n', datatype: 'INT64', shape: [1, 1], data: [[1]] },
    { name: 's', datatype: 'BYTES', shape: [1], data: ['a'] },
  ],
}
const x = { x: [[1, 2]] }

interface Page {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string | Uint8Array
}
const page = (json: unknown): Page => ({ body: JSON.stringify(json) })

/** Of any answer; a mutation run asks again for every change. */
const RUNS = process.env.MUTATION === undefined ? 600 : 60

/** The server's current answer. */
let pages: { server: Page; metadata: Page; infer: Page }
let http: Client
beforeAll(async () => {
  const write = (res: ServerResponse, { status = 200, headers = {}, body }: Page): void => {
    res.writeHead(status, headers)
    res.end(body)
  }
  const listener: RequestListener = (req, res) => {
    req.resume()
    req.on('end', () => write(res, req.method === 'POST' ? pages.infer : req.url === '/v2' ? pages.server : pages.metadata))
  }
  http = await serveHttp(listener)
})
afterAll(() => http.close())

function clientOf(given: Partial<typeof pages>, options: Partial<ClientOptions> = {}): ReturnType<typeof createClient> {
  pages = { server: page({ extensions: [] }), metadata: page(METADATA), infer: page(ANSWER), ...given }
  return createClient({ url: `http://127.0.0.1:${http.port}`, retries: 0, ...options })
}

const failureOf = (call: Promise<unknown>): Promise<ModelmountError> =>
  call.then(
    () => expect.unreachable('the call should have failed'),
    (error: unknown) => {
      if (!isModelmountError(error)) throw error
      return error
    },
  )

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are the point
const RAW = /[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/

test('an honest answer is taken, missing values among it', async () => {
  const { outputs } = await clientOf({}).predict('m', x)
  expect(outputs.y).toEqual({ type: 'float32', dims: [2], data: Float32Array.of(7, Number.NaN) })
  const words = '{"model_name":"m","outputs":[{"name":"y","datatype":"FP32","shape":[4],"data":[NaN,Infinity,-Infinity,"NaN"]}]}'
  const read = await clientOf({ infer: { body: words } }).predict('m', x, { outputs: ['y'] })
  expect(read.outputs.y?.data).toEqual(Float32Array.of(Number.NaN, Infinity, -Infinity, Number.NaN))
  const long = words.replace('"FP32"', '"FP64"').replace('"outputs"', '"parameters":{"a":"INT64"},"id":null,"outputs"')
  const metadata = page({ ...METADATA, outputs: [{ name: 'y', datatype: 'FP64', shape: [-1] }] })
  expect((await clientOf({ infer: { body: long }, metadata }).predict('m', x)).outputs.y?.data[0]).toBeNaN()
})

test('a shape of more sizes than any tensor has makes no long message', async () => {
  const metadata = page({ ...METADATA, inputs: [{ name: 'x', datatype: 'FP32', shape: Array(100_000).fill(-1) }] })
  const { code, message } = await failureOf(clientOf({ metadata }).predict('m', x))
  expect(code).toBe('REMOTE_FAILED')
  expect(message.length).toBeLessThan(1000)
})

// ---------------------------------------------------------------- any answer

const odd = fc.oneof(
  fc.constantFrom<unknown>(null, true, '', 'y', 'n', 'FP64', 'BYTES', '__proto__', 0, -1, 1.5, 2 ** 31, 2 ** 53, 1e300, [], {}),
  fc.constantFrom<unknown>({ toString: 1 }, { valueOf: null, length: 9 }, [[[]]], ['NaN'], { b64: 1 }, '\u001b[2J\u202e\r\n', [
    null,
  ]),
  fc.jsonValue({ maxDepth: 2 }),
)

/** The value with one of its parts replaced, left out or doubled. */
const mutilated = (value: unknown): fc.Arbitrary<unknown> =>
  fc.tuple(fc.array(fc.nat(), { maxLength: 5 }), odd, fc.constantFrom('replace', 'drop', 'double')).map(([way, put, how]) => {
    const change = (node: unknown, [step, ...rest]: number[]): unknown => {
      if (step === undefined || typeof node !== 'object' || node === null) return put
      const keys = Object.keys(node)
      const key = keys[step % keys.length]
      if (key === undefined) return put
      if (Array.isArray(node)) {
        const at = Number(key)
        if (rest.length > 0 || how === 'replace') return node.map((item, i) => (i === at ? change(item, rest) : item))
        return how === 'drop' ? node.filter((_, i) => i !== at) : [...node, node[at]]
      }
      const entries = Object.entries(node)
      return Object.fromEntries(
        how === 'drop' && rest.length === 0
          ? entries.filter(([name]) => name !== key)
          : entries.map(([name, item]) => [name, name === key ? change(item, rest) : item]),
      )
    }
    return change(value, way)
  })

const spoiled = (json: fc.Arbitrary<unknown>): fc.Arbitrary<Page> =>
  fc.oneof(
    { weight: 6, arbitrary: json.map(page) },
    { weight: 1, arbitrary: fc.tuple(json, fc.nat()).map(([value, at]) => ({ body: cut(JSON.stringify(value) ?? '', at) })) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }).map((body) => ({ body })) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(json, fc.constantFrom('', '-1', '0', '7', '1e2', '9'.repeat(40), 'NaN', '\x80'))
        .map(([value, length]) => ({
          ...page(value),
          headers: { 'inference-header-content-length': length },
        })),
    },
    { weight: 1, arbitrary: json.map((value) => ({ ...page(value), headers: { 'content-encoding': 'gzip' } })) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.constantFrom(400, 404, 429, 500, 503), json, fc.string({ unit: 'binary' }))
        .map(([status, details, error]) => ({
          status,
          ...page({ error, code: 'INPUT_INVALID', details }),
        })),
    },
  )
const cut = (text: string, at: number): string => text.slice(0, at % (text.length + 1))

const withBytes = fc
  .tuple(mutilated(ANSWER), fc.uint8Array({ maxLength: 64 }), fc.nat({ max: 70 }))
  .map(([json, blob, size]): Page => {
    const text = JSON.stringify(json, (key, value) => (key === 'data' ? undefined : value)) ?? ''
    const head = Buffer.from(text.replaceAll('"shape"', `"parameters":{"binary_data_size":${size}},"shape"`))
    return { headers: { 'inference-header-content-length': `${head.length}` }, body: Buffer.concat([head, blob]) }
  })

test('any answer to anything: a result that was asked for, or an error of our own', async () => {
  const given = fc.record({
    server: fc.oneof(fc.constant(page({ extensions: ['binary_tensor_data'] })), spoiled(mutilated({ extensions: [] }))),
    metadata: fc.oneof(fc.constant(page(METADATA)), spoiled(mutilated(METADATA))),
    infer: fc.oneof(spoiled(mutilated(ANSWER)), withBytes),
  })
  await fc.assert(
    fc.asyncProperty(given, fc.subarray(['y', 'n', 's']), async (answers, asked) => {
      const client = clientOf(answers)
      const outcome = await client.predict('m', x, { outputs: asked }).catch((error: unknown) => error)
      if (outcome instanceof Error) {
        expect(isModelmountError(outcome), String(outcome.stack)).toBe(true)
        const { message, details } = outcome as ModelmountError
        expect(`${message}${Object.values(details ?? {}).join('')}`).not.toMatch(RAW)
        expect(message.length).toBeLessThan(20_000)
        return
      }
      const { outputs } = outcome as { outputs: Record<string, Tensor> }
      if (asked.length > 0) expect(Object.keys(outputs).sort()).toEqual([...asked].sort())
      for (const { dims, data } of Object.values(outputs)) expect(data.length).toBe(dims.reduce((all, dim) => all * dim, 1))
      const { outputs: told } = await client.signature('m')
      for (const { name, type } of told) if (type && outputs[name]) expect(outputs[name].type).toBe(type)
    }),
    { numRuns: RUNS },
  )
})

// ---------------------------------------------------------------- what was wrong

const withOutputs = (...outputs: unknown[]) => page({ ...METADATA, outputs })
const withInputs = (...inputs: unknown[]) => page({ ...METADATA, inputs })
test.each([
  ['no list', page({ name: 'm' })],
  ['a list', page([])],
  ['null among the inputs', withInputs(null)],
  ['a name that is no text', withInputs({ name: 1, datatype: 'FP32', shape: [1] })],
  ['a name that hides toString', withInputs({ name: { toString: 1 }, datatype: 'FP32', shape: [1] })],
  ['a datatype that hides toString', withOutputs({ name: 'y', datatype: { toString: 1 }, shape: [1] })],
  ['a shape of words', withInputs({ name: 'x', datatype: 'FP32', shape: ['many'] })],
  ['a shape that is no list', withInputs({ name: 'x', datatype: 'FP32', shape: 'any' })],
])('metadata with %s: REMOTE_FAILED', async (_, metadata) => {
  expect(await failureOf(clientOf({ metadata }).predict('m', x))).toMatchObject({ code: 'REMOTE_FAILED', retryable: false })
  expect((await failureOf(clientOf({ metadata }).signature('m'))).code).toBe('REMOTE_FAILED')
})

const [y, n, s] = ANSWER.outputs
const outputsOf = (...outputs: unknown[]) => page({ ...ANSWER, outputs })
test.each([
  ['not asked for', outputsOf(y, s), ['y'], '"s" was not asked for'],
  ['not in the metadata', outputsOf(y, n, s, { ...y, name: 'more' }), [], '"more" was not asked for'],
  ['twice', outputsOf(y, y), ['y'], '"y" comes twice'],
  ['of another type', outputsOf({ ...y, datatype: 'FP64' }), ['y'], '"y" is FP64, and the metadata say FP32'],
  ['missing', outputsOf(y), ['y', 'n'], '"n" is missing'],
  [
    'with a name that moves the cursor',
    outputsOf({ ...y, name: '\u001b[2J\u009b' }),
    ['y'],
    '\\u001b[2J\\x9b" was not asked for',
  ],
] as const)('an output %s is refused', async (_, infer, outputs, message) => {
  const error = await failureOf(clientOf({ infer }).predict('m', x, { outputs }))
  expect(error.code).toBe('REMOTE_FAILED')
  expect(error.message).toContain(message)
})

test('a version that is no text is refused', async () => {
  const infer = page({ ...ANSWER, model_version: { toString: 1 } })
  expect((await failureOf(clientOf({ infer }).predict('m', x))).code).toBe('REMOTE_FAILED')
})

test('a message is printable, whatever the server writes', async () => {
  const details = { field: 'a\u0007', got: { deep: 1 }, stack: 'secret', expected: '\u202ex' }
  const infer = { status: 400, ...page({ error: '\u001b[31mred\nline\u2028', code: 'INPUT_INVALID', details }) }
  const error = await failureOf(clientOf({ infer }).predict('m', x))
  expect(error.message).toBe('\\x1b[31mred\\x0aline\\u{2028}')
  expect(error.details).toEqual({ status: 400, field: 'a\\x07', expected: '\\u{202e}x' })
  const endless = { status: 500, ...page({ error: 'a'.repeat(50_000) }) }
  expect((await failureOf(clientOf({ infer: endless }).predict('m', x))).message.length).toBeLessThan(3000)
})

test('a model of unknown rank, for which servers write [-1] or nothing, takes any shape', async () => {
  for (const shape of [[-1], undefined, null]) {
    const metadata = withInputs({ name: 'x', datatype: 'FP32', shape })
    for (const value of [
      [[1, 2]],
      [1, 2],
      1,
      [[[1]]],
      { type: 'float32', dims: [1, 1, 2], data: Float32Array.of(1, 2) },
    ] as const)
      expect((await clientOf({ metadata, infer: outputsOf(y) }).predict('m', { x: value as never })).outputs.y?.dims).toEqual([2])
  }
})

describe('long answers', () => {
  /** A fetch that counts what is read of bodies, after unpacking. */
  function counting(): { readonly fetch: typeof fetch; readonly bytes: () => number } {
    let bytes = 0
    return {
      bytes: () => bytes,
      async fetch(...args) {
        const response = await fetch(...args)
        const body = response.body?.pipeThrough(
          new TransformStream<Uint8Array, Uint8Array>({
            transform(piece, controller) {
              bytes += piece.byteLength
              controller.enqueue(piece)
            },
          }),
        )
        return new Response(body as never, response)
      },
    }
  }

  const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, 0x20))
  const packed: Page = { headers: { 'content-encoding': 'gzip' }, body: bomb }
  const most = 1024 * 1024

  test('are not read further than allowed, however small they are packed', async () => {
    const { fetch, bytes } = counting()
    const client = clientOf({ infer: packed }, { fetch, maxAnswerBytes: most })
    const error = await failureOf(client.predict('m', x, { idempotent: true }))
    expect(error).toMatchObject({
      code: 'REMOTE_FAILED',
      details: { field: 'maxAnswerBytes', expected: `at most ${most} bytes` },
    })
    expect(bytes()).toBeLessThan(4 * most)
  })

  test('as a description or as an error: a few megabytes at most', async () => {
    for (const given of [{ metadata: packed }, { server: packed, metadata: packed }, { infer: { ...packed, status: 500 } }]) {
      const { fetch, bytes } = counting()
      const error = await failureOf(clientOf(given, { fetch }).predict('m', x))
      expect(error.code).toMatch(/^(REMOTE_FAILED|INFERENCE_FAILED)$/)
      expect(bytes()).toBeLessThan(16 * most)
    }
    const { fetch, bytes } = counting()
    expect(await clientOf({ metadata: packed }, { fetch }).isReady('m')).toBe(false)
    expect(bytes()).toBeLessThan(8 * most)
  })

  test.each([
    ['lists', `[${'[],'.repeat(1_200_000)}[]]`],
    ['levels', '['.repeat(1000) + ']'.repeat(1000) + ' '.repeat(20_000)],
    ['members', `{${Array.from({ length: 70_000 }, (_, i) => `"${i}":0`).join()}}`],
  ])('of too many %s are not parsed', async (what, data) => {
    const infer = { body: `{"model_name":"m","outputs":[{"name":"y","data":${data}}]}` }
    const error = await failureOf(clientOf({ infer }).predict('m', x))
    expect(error).toMatchObject({ code: 'REMOTE_FAILED', message: expect.stringContaining(`too many ${what}`) })
  })

  test('a quarter may be JSON', async () => {
    const infer = { body: JSON.stringify(ANSWER) + ' '.repeat(1000) }
    expect((await failureOf(clientOf({ infer }, { maxAnswerBytes: 2000 }).predict('m', x))).message).toContain(
      'JSON is longer than 500',
    )
    expect((await clientOf({ infer }, { maxAnswerBytes: 8000 }).predict('m', x)).model).toBe('m')
  })

  test('the limit is a number of bytes', () => {
    for (const maxAnswerBytes of [0, -1, 1.5, Number.NaN, '1' as never])
      expect(() => clientOf({}, { maxAnswerBytes })).toThrow(expect.objectContaining({ code: 'OPTIONS_INVALID' }))
  })
})

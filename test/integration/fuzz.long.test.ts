/**
 * Thousands of mutated bodies through real HTTP: each is answered with 200 or a 4xx that says what is wrong, never with a 5xx,
 * and the next good request gets its right answer.
 */

import express from 'express'
import fc from 'fast-check'
import { createModelServer, ERROR_TABLE, type ModelServer, type ServerEvent } from 'modelmount'
import { modelRouter } from 'modelmount/express'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { addModel, gatherModel, identityModel } from '../../tools/models.mjs'
import { type Answer, type Client, serveHttp } from '../support/http.ts'

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
interface Valid {
  readonly model: string
  readonly body: Json
  /** The data of the first output. */
  readonly answer: readonly Json[]
}

const one = (name: string, datatype: string, shape: number[], data: Json[]): Json => ({ name, shape, datatype, data })

const VALID: readonly Valid[] = [
  {
    model: 'add',
    body: {
      id: 'a',
      inputs: [
        one('a', 'FP32', [2, 4], [1, 2, 3, 4, 5, 6, 7, 8]),
        one(
          'b',
          'FP32',
          [2, 4],
          [
            [1, 1, 1, 1],
            [1, 1, 1, 1],
          ],
        ),
      ],
      outputs: [{ name: 'sum' }],
    },
    answer: [2, 3, 4, 5, 6, 7, 8, 9],
  },
  {
    model: 'long',
    body: { inputs: [one('x', 'INT64', [3], [1, -2, 4503599627370496])], parameters: { sequence: 1 } },
    answer: [1, -2, 4503599627370496],
  },
  { model: 'string', body: { inputs: [one('x', 'BYTES', [3], ['', 'Grüße', '日本'])] }, answer: ['', 'Grüße', '日本'] },
  { model: 'bool', body: { id: 'b', inputs: [one('x', 'BOOL', [2], [true, false])] }, answer: [true, false] },
  { model: 'any', body: { inputs: [one('x', 'FP32', [1, 2, 1], [1.5, -1.5])] }, answer: [1.5, -1.5] },
  { model: 'gather', body: { inputs: [one('indices', 'INT64', [1], [1])] }, answer: [4, 5, 6, 7] },
]

let server: ModelServer
let client: Client
const warnings: ServerEvent[] = []
beforeAll(async () => {
  server = await createModelServer({
    logger: false,
    strict: true,
    proof: 'before-ready',
    maxElements: 1_000_000,
    models: [
      { name: 'add', source: addModel() },
      { name: 'long', source: identityModel('int64', ['N']) },
      { name: 'string', source: identityModel('string', ['N']) },
      { name: 'bool', source: identityModel('bool', ['N']) },
      { name: 'any', source: identityModel('float', [null, null, null]) },
      { name: 'gather', source: gatherModel() },
    ],
  })
  server.subscribe((event) => {
    if (event.type !== 'worker-ready') warnings.push(event)
  })
  const app = express()
  app.use(modelRouter(server))
  client = await serveHttp(app)
})
afterAll(async () => {
  await client.close()
  await server.close()
})

// ---------------------------------------------------------------- what goes wrong in a body

const KEYS = [
  'name',
  'shape',
  'datatype',
  'data',
  'inputs',
  'outputs',
  'id',
  'parameters',
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'length',
  'then',
  '0',
  '',
]
const DATATYPES = [
  'FP32',
  'FP64',
  'FP16',
  'BF16',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'UINT8',
  'UINT64',
  'BOOL',
  'BYTES',
  'fp32',
  'float32',
  '',
]
const SIZES = [0, 1, 2, 4, 8, -1, -0.5, 1.5, 65536, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 63, 1e308]

const size = fc.constantFrom(...SIZES)
const shape: fc.Arbitrary<Json> = fc.oneof(fc.array(size, { maxLength: 5 }), fc.array(size, { minLength: 30, maxLength: 40 }))
const deep = fc.integer({ min: 1, max: 700 }).map((depth) => {
  let nest: Json = 1
  for (let i = 0; i < depth; i++) nest = [nest]
  return nest
})
const ragged: fc.Arbitrary<Json> = fc.array(fc.oneof(fc.array(fc.integer(), { maxLength: 3 }), fc.integer()), { maxLength: 4 })
const scalar: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json>(null, true, false, '', 'NaN', 'Infinity', '-Infinity', '1', '__proto__', -0, 1e300, -1, 0.5),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.string({ maxLength: 8, unit: 'binary' }),
)
const anything: fc.Arbitrary<Json> = fc.oneof(
  { weight: 6, arbitrary: scalar },
  { weight: 2, arbitrary: shape },
  { weight: 2, arbitrary: ragged },
  { weight: 1, arbitrary: deep },
  { weight: 2, arbitrary: fc.constantFrom<Json>(...DATATYPES) },
  { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 4 }).map((json) => json as Json) },
)

interface Edit {
  readonly kind: 'drop' | 'set' | 'key' | 'duplicate' | 'swap'
  /** Which place in the tree, as a fraction of all places. */
  readonly where: number
  readonly value: Json
  readonly key: string
}
const edit: fc.Arbitrary<Edit> = fc.record({
  kind: fc.constantFrom('drop', 'set', 'set', 'key', 'duplicate', 'swap'),
  where: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  value: anything,
  key: fc.constantFrom(...KEYS),
})

/** Assigning would set the prototype instead of making a key of that name. */
const put = (target: object, key: string | number, value: Json): void => {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
}

function places(node: Json, found: { readonly parent: object; readonly key: string }[] = []): typeof found {
  if (typeof node !== 'object' || node === null) return found
  for (const [key, child] of Object.entries(node)) {
    found.push({ parent: node, key })
    places(child, found)
  }
  return found
}

function apply(body: Json, { kind, where, value, key }: Edit): Json {
  const all = places(body)
  const place = all[Math.floor(where * all.length)]
  if (!place) return value
  const { parent } = place
  const old = (parent as Record<string, Json>)[place.key] as Json
  if (kind === 'drop') {
    if (Array.isArray(parent)) parent.splice(Number(place.key), 1)
    else delete (parent as Record<string, Json>)[place.key]
  } else if (kind === 'set') put(parent, place.key, value)
  else if (kind === 'key') put(Array.isArray(parent) ? (body as object) : parent, key, value)
  else if (kind === 'duplicate') {
    if (Array.isArray(parent)) parent.splice(Number(place.key), 0, structuredClone(old))
    else put(parent, key, structuredClone(old))
  } else {
    const other = all[Math.floor(where * 7919) % all.length]
    if (other && places(old).length === 0) put(other.parent, other.key, old)
  }
  return body
}

/** Text that JSON.stringify would never write, put in place of some token of the body. */
const TOKENS = [
  '1e309',
  '-1e309',
  '9223372036854775808',
  '123456789012345678901234567890',
  `1${'0'.repeat(400)}`,
  '-0',
  '1e-400',
  'NaN',
  'Infinity',
  '-',
  '01',
  '.5',
  '0x10',
  '1_000',
  '"\\ud800"',
  '"\\u0000"',
  '"\\x"',
  'undefined',
  '//',
  '{"__proto__":1}',
  '"a":1,"a":2',
  '\u2028',
  '\ufeff',
  ']',
  '}',
  '[[',
  '{{',
  ',,',
  '""""',
  '\\',
]
const textEdit = fc.record({
  where: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  token: fc.constantFrom(...TOKENS),
})

function replaceToken(text: string, { where, token }: { where: number; token: string }): string {
  const tokens = [...text.matchAll(/"(?:[^"\\]|\\.)*"|-?[\d.eE+]+|true|false|null|[[\]{},:]/g)]
  const hit = tokens[Math.floor(where * tokens.length)]
  return hit?.index === undefined ? token : text.slice(0, hit.index) + token + text.slice(hit.index + hit[0].length)
}

const byteEdit = fc.record({
  where: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  remove: fc.integer({ min: 0, max: 20 }),
  insert: fc.uint8Array({ maxLength: 6 }),
})

function splice(bytes: Uint8Array, { where, remove, insert }: { where: number; remove: number; insert: Uint8Array }): Uint8Array {
  const at = Math.floor(where * bytes.length)
  return Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)])
}

const valid = fc.constantFrom(...VALID)
const mutated = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(valid, fc.array(edit, { minLength: 1, maxLength: 3 })).map(([{ model, body }, edits]) => ({
      model,
      bytes: Buffer.from(JSON.stringify(edits.reduce(apply, structuredClone(body) as Json))) as Uint8Array,
    })),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(valid, fc.array(textEdit, { minLength: 1, maxLength: 3 })).map(([{ model, body }, edits]) => ({
      model,
      bytes: Buffer.from(edits.reduce(replaceToken, JSON.stringify(body))) as Uint8Array,
    })),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(valid, fc.array(byteEdit, { minLength: 1, maxLength: 3 })).map(([{ model, body }, edits]) => ({
      model,
      bytes: edits.reduce(splice, Buffer.from(JSON.stringify(body)) as Uint8Array),
    })),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(valid, anything)
      .map(([{ model }, body]) => ({ model, bytes: Buffer.from(JSON.stringify(body)) as Uint8Array })),
  },
)

// ---------------------------------------------------------------- what must hold

const infer = (model: string, bytes: Uint8Array | string): Promise<Answer> => client.post(`/v2/models/${model}/infer`, bytes)
const counts = new Map<number, number>()

function judge({ status, json, text, headers }: Answer): void {
  counts.set(status, (counts.get(status) ?? 0) + 1)
  expect(headers['content-type']).toBe('application/json')
  expect(typeof json).toBe('object')
  if (status === 200) {
    expect(json).toMatchObject({ outputs: expect.any(Array) })
    return
  }
  expect(status).toBeGreaterThanOrEqual(400)
  expect(status).toBeLessThan(500)
  const { error, code } = json as { error: string; code: keyof typeof ERROR_TABLE }
  expect(typeof error === 'string' && error.length > 0 && error.length < 2000).toBe(true)
  expect(ERROR_TABLE[code]?.status).toBe(status)
  // Of the library only, not of the engine or the parser below it.
  expect(text).not.toMatch(/onnxruntime|Unexpected token|at position|node_modules|\bat .*\.js:/i)
}

async function allRight(): Promise<void> {
  for (const { model, body, answer } of VALID) {
    const { status, json } = await infer(model, JSON.stringify(body))
    expect({ model, status, data: (json as { outputs?: { data: Json[] }[] })?.outputs?.[0]?.data }).toEqual({
      model,
      status: 200,
      data: answer,
    })
  }
}

test('mutated bodies are answered with 200 or a 4xx, and the server keeps serving', { timeout: 60_000 }, async () => {
  await allRight()
  // In groups, so that mutated neighbours share a burst with each other and with a good request.
  await fc.assert(
    fc.asyncProperty(fc.array(mutated, { minLength: 8, maxLength: 8 }), valid, async (bodies, { model, body, answer }) => {
      const [good, ...answers] = await Promise.all([
        infer(model, JSON.stringify(body)),
        ...bodies.map(({ model, bytes }) => infer(model, bytes)),
      ])
      expect(good.json).toMatchObject({ outputs: [{ data: answer }] })
      for (const answer of answers) judge(answer)
    }),
    { numRuns: 500, seed: process.env.FUZZ_SEED === undefined ? 20_261 : Number(process.env.FUZZ_SEED) },
  )
  await allRight()
  // The mutations are worth their name: most are refused, some are harmless, several kinds of refusal occur.
  expect(counts.get(400)).toBeGreaterThan(1500)
  expect(counts.get(200)).toBeGreaterThan(100)
  expect(warnings).toEqual([])
})

/** Generated requests of every dialect over the wire of every adapter: an answer to each, no 5xx for a caller's mistake, and life goes on. */

import fc from 'fast-check'
import { createModelServer, type ModelServer } from 'modelmount'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { addModel, identityModel } from '../../tools/models.mjs'
import { HOSTS } from '../adapters/hosts.ts'
import { ADD } from '../adapters/requests.ts'
import { connectTo } from '../support/http.ts'

let server: ModelServer
beforeAll(async () => {
  server = await createModelServer({
    logger: false,
    strict: true,
    maxBodyBytes: 100_000,
    models: [
      { name: 'add', source: addModel() },
      { name: 'text', source: identityModel('string', ['N']) },
    ],
  })
})
afterAll(() => server.close())

const GOOD = JSON.stringify(ADD)
const json = 'application/json'
/** Path, content type and body that are answered with 200. */
const VALID: readonly (readonly [string, string, string])[] = [
  ['/v2/models/add/infer', json, GOOD],
  ['/v2/models/add/versions/1/infer', json, GOOD],
  ['/v2/models/text/infer', json, '{"inputs":[{"name":"x","shape":[2],"datatype":"BYTES","data":["a","b"]}]}'],
  ['/v2/models/add/generate', json, '{"a":[1,2,3,4],"b":[1,1,1,1]}'],
  ['/v1/models/add:predict', json, '{"instances":[{"a":[1,2,3,4],"b":[1,1,1,1]}]}'],
  ['/v1/models/add/versions/1:predict', json, '{"inputs":{"a":[[1,2,3,4]],"b":[[1,1,1,1]]}}'],
  ['/invocations', json, '{"inputs":{"a":[[1,2,3,4]],"b":[[1,1,1,1]]}}'],
  ['/invocations', json, '{"dataframe_split":{"columns":["x"],"data":[["a"]]}}'],
  ['/invocations', 'text/csv', 'x\na\n"b ""c"""\n'],
]

const piece = fc.constantFrom(
  '',
  '',
  '"',
  '[',
  ']',
  '{',
  '}',
  ',',
  ':',
  '0',
  '-',
  '1e999',
  'null',
  '"__proto__"',
  '\\u0000',
  '\n',
  '\u2028',
  'é',
  '"x"',
  '[[[',
)
const change = fc.record({ where: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), take: fc.nat(6), put: piece })
const changed = (text: string, changes: readonly { where: number; take: number; put: string }[]): string =>
  changes.reduce((all, { where, take, put }) => {
    const at = Math.floor(where * all.length)
    return all.slice(0, at) + put + all.slice(at + take)
  }, text)
const headers = fc.dictionary(
  fc.constantFrom(
    'content-encoding',
    'inference-header-content-length',
    'x-request-timeout-ms',
    'accept-encoding',
    'accept',
    'x-request-id',
    'traceparent',
    'origin',
  ),
  fc.constantFrom('0', '-1', '1', '5', '99999999999', 'gzip', 'br', 'gzip, gzip', 'identity', '', 'a b', '*/*', 'NaN'),
  { maxKeys: 2 },
)
const method = fc.constantFrom('POST', 'POST', 'POST', 'POST', 'GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE')
const type = fc.constantFrom(
  undefined,
  undefined,
  json,
  'text/csv',
  'application/octet-stream',
  'text/plain; charset=x',
  'nonsense',
)
const request = fc.record({
  valid: fc.constantFrom(...VALID),
  path: fc.array(change, { maxLength: 1 }),
  body: fc.array(change, { maxLength: 3 }),
  headers,
  method,
  type,
})

test.each(HOSTS)('$name', async (host) => {
  const dialects = ['open-inference', 'tf-serving', 'mlflow'] as const
  const running = await host.start([{ server, prefix: '', options: { dialects, mlflow: { model: 'text' } } }], 'bare')
  const connection = connectTo(running.port)
  const counts = { good: 0, refused: 0 }
  try {
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 6, maxLength: 6 }), async (requests) => {
        const [good, ...answers] = await Promise.all([
          connection.post('/v2/models/add/infer', GOOD),
          ...requests.map(({ valid: [path, usual, body], ...of }) => {
            const target = encodeURI(changed(path, of.path).replace(/[\s\\"{}[\]]/g, '')).replace(/^\/*/, '/')
            const text = of.method === 'GET' || of.method === 'HEAD' ? undefined : changed(body, of.body)
            return connection.send(of.method, target, text, { 'content-type': of.type ?? usual, ...of.headers })
          }),
        ])
        expect(good).toMatchObject({ status: 200, json: { outputs: [{ data: [2, 3, 4, 5] }] } })
        for (const { status, text, json } of answers) {
          // A deadline of a millisecond may be over, which is the caller's wish.
          const isLate = [503, 504].includes(status) && /OVERLOADED|DEADLINE|deadline/.test(text)
          expect([status, text, isLate || status < 500]).toEqual([status, text, true])
          if (status < 300) counts.good++
          else counts.refused++
          if (status >= 400 && text !== '' && json !== undefined)
            expect(text).not.toMatch(/onnxruntime|node_modules|\bat .*\.js:/i)
        }
      }),
      { numRuns: 40, seed: Number(process.env.FUZZ_SEED ?? 20_261) },
    )
    expect(counts.good).toBeGreaterThan(10)
    expect(counts.refused).toBeGreaterThan(50)
  } finally {
    connection.end()
    await running.close()
  }
})

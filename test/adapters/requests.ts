/** The table of requests that every adapter must answer alike. */

import type { OutgoingHttpHeaders } from 'node:http'
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib'

export interface Exchange {
  readonly what: string
  readonly method: string
  /** Below the mount point. */
  readonly path: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: string | Uint8Array
  /** Required answers of every adapter; the rest of each answer must equal the mount's own. */
  readonly status: number
  /** The frameworks that answer this one themselves, before any route of theirs is asked, or that change the path first. */
  readonly except?: Readonly<Record<string, number>>
}

const JSON_TYPE = { 'content-type': 'application/json' }
const floats = (name: string, shape: readonly number[], data: readonly unknown[]) => ({ name, shape, datatype: 'FP32', data })
export const ADD = { inputs: [floats('a', [1, 4], [1, 2, 3, 4]), floats('b', [1, 4], [1, 1, 1, 1])] }
const LONG = '{"inputs":[{"name":"x","shape":[3],"datatype":"INT64","data":[9007199254740993,-9223372036854775808,1]}]}'

const MANY = { inputs: [{ name: 'x', shape: [1000], datatype: 'INT64', data: new Array(1000).fill(7) }] }

const get = (path: string, status = 200): Exchange => ({ what: `GET ${path}`, method: 'GET', path, status })
const infer = (
  what: string,
  status: number,
  body: unknown,
  { model = 'add', headers = JSON_TYPE as OutgoingHttpHeaders }: { model?: string; headers?: OutgoingHttpHeaders } = {},
): Exchange => ({
  what,
  method: 'POST',
  path: `/v2/models/${model}/infer`,
  headers,
  body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
  status,
})
const plain = (method: string, path: string, status: number, body?: string): Exchange => ({
  what: `${method} ${path}`,
  method,
  path,
  status,
  ...(body === undefined ? {} : { body, headers: JSON_TYPE }),
})

/** One byte that no UTF-8 text has, in text that is JSON but for it. */
function torn(): Uint8Array {
  const bytes = Buffer.from('{"inputs":[{"name":"x","shape":[1],"datatype":"BYTES","data":["?"]}]}')
  bytes[bytes.indexOf('?')] = 0xff
  return bytes
}

const TOTAL = { model: 'total' }
/** @param isWhole it begins and ends with this request */
const sequence = (parameters: object | string, isWhole = false): string => {
  const id = `{"sequence_id":${parameters},"sequence_start":${isWhole},"sequence_end":${isWhole}}`
  const text = typeof parameters === 'string' ? id : JSON.stringify(parameters)
  return `{"inputs":[${JSON.stringify(floats('x', [1, 2], [1, 2]))}],"parameters":${text}}`
}

/** The header in JSON and, behind it, the bytes of the tensors. */
function binary(header: object, ...blobs: readonly Uint8Array[]): { body: Uint8Array; headers: OutgoingHttpHeaders } {
  const json = Buffer.from(JSON.stringify(header))
  return { body: Buffer.concat([json, ...blobs]), headers: { 'inference-header-content-length': String(json.length) } }
}
const blob = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer)
const binaryInput = (name: string) => ({ name, shape: [1, 4], datatype: 'FP32', parameters: { binary_data_size: 16 } })
const packed = binary({ inputs: [binaryInput('a'), binaryInput('b')] }, blob, blob)

/** Routers that answer what they cannot decode by themselves, also with 400. */
const UNDECODABLE = { Fastify: 400, 'Nest on Express': 400, 'Nest on Fastify': 400 }

export const REQUESTS: readonly Exchange[] = [
  get('/v2'),
  get('/v2/'),
  get('/v2?verbose=1&x=%2F'),
  get('/v2/health/live'),
  get('/v2/health/ready'),
  get('/v2/models'),
  get('/v2/models/add'),
  get('/v2/models/add?version=1'),
  get('/v2/models/add/versions/1'),
  get('/v2/models/add/ready'),
  get('/v2/models/add/versions/2/ready'),
  get('/v2/models/%61dd/versions/%31'),

  get('/v2/nope', 404),
  get('/v2/models/', 404),
  get('/v2/models/add/', 404),
  get('/v2/models/add/versions', 404),
  get('/v2/models//infer', 404),
  get('/v2//health/live', 404),
  get('/v2/models/nope', 404),
  get('/v2/models/__proto__', 404),
  get('/v2/models/constructor', 404),
  get('/v2/models/a%2Fb', 404),
  get('/v2/models/%00', 404),
  get('/v2/models/add%20', 404),
  get('/v2/models/ADD', 404),
  get('/v2/models/Gr%C3%BC%C3%9Fe', 404),
  get(`/v2/models/${'n'.repeat(300)}`, 404),
  get('/v2/models/add/versions/01', 404),
  get('/v2/models/add/versions/__proto__', 404),
  // A `Request` resolves dots before anybody sees the path.
  { ...get('/v2/../v2/models', 404), except: { 'Request and Response': 200, Hono: 200 } },
  { ...get('/v2/models/..', 404), except: { 'Request and Response': 200, Hono: 200 } },
  { ...get('/v2/models/%2e%2e', 404), except: { 'Request and Response': 200, Hono: 200 } },
  { ...get('/v2/models/%', 400), except: UNDECODABLE },
  { ...get('/v2/models/%E0%A4%A', 400), except: UNDECODABLE },
  { ...plain('POST', '/v2/models/add/versions/%zz/infer', 400, '{}'), except: UNDECODABLE },

  plain('HEAD', '/v2', 200),
  plain('HEAD', '/v2/models/add', 200),
  plain('HEAD', '/v2/models/nope', 404),
  plain('HEAD', '/v2/models/add/infer', 405),
  plain('OPTIONS', '/v2', 204),
  plain('OPTIONS', '/v2/models/add/infer', 204),
  plain('OPTIONS', '/v2/nope', 404),
  plain('GET', '/v2/models/add/infer', 405),
  plain('POST', '/v2/models/add', 405, '{}'),
  plain('DELETE', '/v2/models', 405),
  plain('PUT', '/v2/health/live', 405, '{}'),
  plain('PATCH', '/v2', 405, '[]'),

  infer('a prediction', 200, ADD),
  infer('a version and an id', 200, { ...ADD, id: 'ü-42"' }, { model: 'add/versions/1' }),
  infer('integers beyond 2^53', 200, LONG, { model: 'long' }),
  infer(
    'strings',
    200,
    { inputs: [{ name: 'x', shape: [2], datatype: 'BYTES', data: ['', '日本語 👩‍👩‍👧'] }] },
    { model: 'string' },
  ),
  infer('no content type', 200, ADD, { headers: {} }),
  infer('a charset', 200, ADD, { headers: { 'content-type': 'application/json;charset=UTF-8' } }),
  // The type that `curl -d` sends.
  infer('a form', 200, ADD, { headers: { 'content-type': 'application/x-www-form-urlencoded' } }),
  infer('a structured suffix', 200, ADD, { headers: { 'content-type': 'application/vnd.api+json' } }),
  infer('a large header of its own', 200, ADD, { headers: { ...JSON_TYPE, 'x-large': 'x'.repeat(10_000) } }),
  infer('a deadline', 200, ADD, { headers: { ...JSON_TYPE, 'x-request-timeout-ms': '60000' } }),
  infer('a deadline that is none', 400, ADD, { headers: { ...JSON_TYPE, 'x-request-timeout-ms': 'soon' } }),
  { ...infer('chunked', 200, ADD), headers: { ...JSON_TYPE, 'transfer-encoding': 'chunked' } },
  { ...infer('binary tensors', 200, packed.body), headers: packed.headers },
  {
    ...infer('binary tensors under their content type', 200, packed.body),
    headers: { ...packed.headers, 'content-type': 'application/octet-stream' },
  },
  {
    ...infer('binary tensors that call themselves JSON', 200, packed.body),
    headers: { ...packed.headers, ...JSON_TYPE },
  },
  infer('a compressed body', 200, gzipSync(JSON.stringify(ADD)), { headers: { ...JSON_TYPE, 'content-encoding': 'gzip' } }),
  infer('a body in Brotli', 200, brotliCompressSync(JSON.stringify(ADD)), {
    headers: { ...JSON_TYPE, 'content-encoding': 'br' },
  }),
  infer('a compressed answer', 200, MANY, { model: 'long', headers: { ...JSON_TYPE, 'accept-encoding': 'gzip' } }),
  infer('an answer that may be compressed', 200, ADD, { headers: { ...JSON_TYPE, 'accept-encoding': 'gzip' } }),

  infer('an empty body', 400, ''),
  { what: 'no body at all', method: 'POST', path: '/v2/models/add/infer', status: 400 },
  infer('a list', 400, []),
  infer('an object without inputs', 400, {}),
  infer('broken JSON', 400, '{"inputs":['),
  infer('not-a-number', 400, '{"inputs":[NaN]}'),
  infer('two values', 400, '{}{}'),
  infer('null', 400, 'null'),
  infer('torn UTF-8', 400, torn(), { model: 'string' }),
  infer('an input too few', 400, { inputs: [ADD.inputs[0]] }),
  infer('an input twice', 400, { inputs: [...ADD.inputs, ADD.inputs[0]] }),
  infer('an unknown output', 400, { ...ADD, outputs: [{ name: 'nope' }] }),
  infer('an id that is a number', 400, { ...ADD, id: 7 }),
  infer(
    'a prototype',
    400,
    '{"__proto__":{"inputs":[]},"inputs":[{"name":"__proto__","shape":[1],"datatype":"FP32","data":[1]}]}',
  ),
  infer('another model’s name', 404, ADD, { model: 'nope' }),
  infer('text', 415, ADD, { headers: { 'content-type': 'text/plain' } }),
  infer('a multipart form', 415, ADD, { headers: { 'content-type': 'multipart/form-data; boundary=x' } }),
  infer('a content type that is none', 415, ADD, { headers: { 'content-type': 'json' } }),
  infer('a form in another charset', 415, ADD, {
    headers: { 'content-type': 'application/x-www-form-urlencoded; charset=latin1' },
  }),
  infer('a charset that is not ours', 415, ADD, { headers: { 'content-type': 'application/json; charset=latin1' } }),
  infer('an unknown compression', 415, ADD, { headers: { ...JSON_TYPE, 'content-encoding': 'zstd' } }),
]

const post = (what: string, path: string, status: number, type: string | undefined, body: unknown): Exchange => ({
  what,
  method: 'POST',
  path,
  status,
  headers: type === undefined ? {} : { 'content-type': type },
  body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
})
const FORM = 'application/x-www-form-urlencoded'
const ROW = { instances: [{ a: [1, 2, 3, 4], b: [1, 1, 1, 1] }] }
const COLUMNS = { inputs: { a: [[1, 2, 3, 4]], b: [[1, 1, 1, 1]] } }

/** Requests of clients of TensorFlow Serving, MLflow and Triton's extensions; MLflow's routes serve `add`. */
export const DIALECTS: readonly Exchange[] = [
  // The documented examples, as `curl -d` and Python's requests send them.
  post('TensorFlow Serving, as a form', '/v1/models/add:predict', 200, FORM, ROW),
  post('TensorFlow Serving, without a type', '/v1/models/add/versions/1:predict', 200, undefined, COLUMNS),
  post('TensorFlow Serving, packed', '/v1/models/add:predict', 400, undefined, gzipSync(JSON.stringify(ROW))),
  post('TensorFlow Serving, both forms', '/v1/models/add:predict', 400, 'application/json', { ...ROW, ...COLUMNS }),
  post('TensorFlow Serving, a label', '/v1/models/add/labels/stable:predict', 200, 'application/json', ROW),
  post('TensorFlow Serving, an unknown label', '/v1/models/add/labels/next:predict', 404, 'application/json', ROW),
  post(
    'TensorFlow Serving, a label that is a prototype',
    '/v1/models/add/labels/__proto__:predict',
    404,
    'application/json',
    ROW,
  ),
  post('TensorFlow Serving, both of them', '/v1/models/add/versions/1/labels/stable:predict', 400, 'application/json', ROW),
  get('/v1/models/add/labels/stable'),
  get('/v1/models/add/labels/%73table/metadata'),
  get('/v1/models/add/labels/next', 404),
  get('/v1/models/nope/labels/stable', 404),
  get('/v1/models/add/labels/stable/versions/1', 400),
  post('TensorFlow Serving, an unknown verb', '/v1/models/add:explain', 404, 'application/json', ROW),
  get('/v1/models/add'),
  get('/v1/models/add/versions/1/metadata'),
  post('MLflow, tensors', '/invocations', 200, 'application/json', COLUMNS),
  post('MLflow, a table that does not fit', '/invocations', 400, 'text/csv', 'a,b\n1,2\n'),
  post('MLflow, ragged CSV', '/invocations', 400, 'text/csv; charset=utf-8', 'a,b\n1\n'),
  post('MLflow, another type', '/invocations', 415, 'text/plain', COLUMNS),
  get('/ping'),
  get('/health'),
  get('/version'),
  post('generate', '/v2/models/add/generate', 200, 'application/json', { a: [1, 2, 3, 4], b: [1, 1, 1, 1] }),
  post('generate, as an event', '/v2/models/add/generate_stream', 200, 'application/json', { a: [1, 2, 3, 4], b: [1, 1, 1, 1] }),
  post('the index, without a body', '/v2/repository/index', 200, undefined, ''),
  post('loading what is not there', '/v2/repository/models/nope/load', 404, 'application/json', {}),
  get('/v2/models/add/config'),
]

const framedAs = (what: string, status: number, length: string): Exchange => ({
  ...infer(what, status, packed.body),
  headers: { 'inference-header-content-length': length },
})
const lying = (what: string, sizes: readonly unknown[], more: object = {}): Exchange => {
  const inputs = ['a', 'b'].map((name, i) => ({ ...binaryInput(name), parameters: { binary_data_size: sizes[i] }, ...more }))
  const { body, headers } = binary({ inputs }, blob, blob)
  return { ...infer(what, 400, body), headers }
}
const zipped = (what: string, status: number, body: Uint8Array, coding = 'gzip'): Exchange =>
  infer(what, status, body, { headers: { ...JSON_TYPE, 'content-encoding': coding } })
const csv = (what: string, text: string): Exchange => post(`MLflow, ${what}`, '/invocations', 400, 'text/csv', text)

/** Requests that no honest client sends, in every dialect. */
export const BAD: readonly Exchange[] = [
  lying('a tensor that says more bytes than the body has', [16, 17]),
  lying('a tensor that says fewer bytes than its shape', [16, 12]),
  lying('a tensor of no bytes', [16, 0]),
  { ...infer('bytes behind the last tensor', 400, Buffer.concat([packed.body, blob])), headers: packed.headers },
  lying('a size below zero', [-16, 16]),
  lying('a size that is no number', ['16', 16]),
  lying('a size in pieces', [15.5, 16]),
  lying('a size beyond all bodies', [2 ** 53, 16]),
  lying('a size and data', [16, 16], { data: [1, 2, 3, 4] }),
  lying('a shape that no memory holds', [16, 16], { shape: [2 ** 40, 2 ** 40] }),
  lying('a region of memory that is ours', [16, 16], { parameters: { shared_memory_region: 'r', binary_data_size: 16 } }),
  framedAs('a header larger than the body', 400, String(packed.body.length + 1)),
  framedAs('a header in the middle of the JSON', 400, '10'),
  framedAs('a header below zero', 400, '-1'),
  framedAs('a header that is no number', 400, 'many'),
  framedAs('a header with an exponent', 400, '1e2'),
  framedAs('a header of a hundred digits', 400, '9'.repeat(100)),
  framedAs('a raw body for a model of two inputs', 400, '0'),

  zipped('a bomb', 413, gzipSync(Buffer.alloc(50_000_000))),
  zipped('a bomb, deflated', 413, deflateSync(Buffer.alloc(50_000_000)), 'deflate'),
  zipped('something else than gzip', 400, Buffer.from(JSON.stringify(ADD))),
  zipped('a bomb in Brotli', 413, brotliCompressSync(Buffer.alloc(50_000_000)), 'br'),
  zipped('something else than Brotli', 400, gzipSync(JSON.stringify(ADD)), 'br'),
  zipped('half of a packed body', 400, gzipSync(JSON.stringify(ADD)).subarray(0, 40)),
  zipped('deflate without its frame', 400, deflateRawSync(JSON.stringify(ADD)), 'deflate'),

  infer('parameters that nobody knows', 200, { ...ADD, parameters: { flavour: 'sour', n: 1, b: true } }),
  infer('parameters that nobody knows, and are no scalars', 200, { ...ADD, parameters: { flavour: {}, b: [1], c: null } }),
  infer('parameters that are no scalars', 400, { ...ADD, parameters: { timeout: {} } }),
  infer('null for what may be left out', 200, { ...ADD, id: null, parameters: null, outputs: null }),
  infer('parameters that are a list', 400, { ...ADD, parameters: [] }),
  infer('an id that is an object', 400, { ...ADD, id: {} }),
  infer('an id that is true', 400, { ...ADD, id: true }),
  infer('no outputs wanted, which is all', 200, { ...ADD, outputs: [] }),
  infer('outputs that are no list', 400, { ...ADD, outputs: {} }),
  infer('an output twice', 400, { ...ADD, outputs: [{ name: 'sum' }, { name: 'sum' }] }),
  infer('an output without a name', 400, { ...ADD, outputs: [{}] }),
  infer('a prototype as output', 400, { ...ADD, outputs: [{ name: '__proto__' }] }),
  infer('too few elements', 400, { inputs: [floats('a', [1, 4], [1, 2, 3]), ADD.inputs[1]] }),
  infer('a dimension below zero', 400, { inputs: [floats('a', [-1, 4], [1, 2, 3, 4]), ADD.inputs[1]] }),
  infer('data that are ragged', 400, { inputs: [floats('a', [2, 4], [[1, 2, 3, 4], [5]]), ADD.inputs[1]] }),
  infer('strings for floats', 400, { inputs: [floats('a', [1, 4], ['1', '2', '3', '4']), ADD.inputs[1]] }),
  infer('nothing for integers', 400, { inputs: [{ ...MANY.inputs[0], shape: [1], data: [null] }] }, { model: 'long' }),
  infer('nothing for floats, which are missing values', 200, { inputs: [floats('a', [1, 4], [1, null, 3, 4]), ADD.inputs[1]] }),
  infer('a type that is none', 400, { inputs: [{ ...ADD.inputs[0], datatype: 'FLOAT' }, ADD.inputs[1]] }),
  infer('a type that is not the model’s', 400, { inputs: [{ ...ADD.inputs[0], datatype: 'FP64' }, ADD.inputs[1]] }),
  infer('a sequence of one request', 200, sequence({ sequence_id: 7, sequence_start: true, sequence_end: true }), TOTAL),
  infer('a sequence with a long id', 200, sequence('18446744073709551615', true), TOTAL),
  infer('a sequence that is not open', 404, sequence({ sequence_id: 'seven' }), TOTAL),
  infer('a model with state without a sequence', 400, sequence({}), TOTAL),
  infer('a sequence that nobody keeps', 400, { ...ADD, parameters: { sequence_id: 7, sequence_start: true } }),

  post('TensorFlow Serving, neither form', '/v1/models/add:predict', 400, 'application/json', {}),
  post('TensorFlow Serving, no rows', '/v1/models/add:predict', 400, 'application/json', { instances: [] }),
  post('TensorFlow Serving, rows of two lengths', '/v1/models/add:predict', 400, 'application/json', {
    instances: [ROW.instances[0], { a: [1, 2], b: [1, 1, 1, 1] }],
  }),
  post('TensorFlow Serving, a row without a column', '/v1/models/add:predict', 400, 'application/json', {
    instances: [ROW.instances[0], { a: [1, 2, 3, 4] }],
  }),
  post('TensorFlow Serving, values among rows', '/v1/models/add:predict', 400, 'application/json', {
    instances: [ROW.instances[0], [1, 2, 3, 4]],
  }),
  post('TensorFlow Serving, base64 that is none', '/v1/models/string:predict', 400, 'application/json', {
    instances: [{ b64: '***' }],
  }),
  post('TensorFlow Serving, base64 of another kind', '/v1/models/string:predict', 400, 'application/json', {
    instances: [{ b64: 7 }],
  }),
  post('TensorFlow Serving, a signature that is none', '/v1/models/add:predict', 400, 'application/json', {
    ...ROW,
    signature_name: 'other',
  }),

  post('MLflow, two formats', '/invocations', 400, 'application/json', { ...COLUMNS, ...ROW }),
  post('MLflow, a list', '/invocations', 400, 'application/json', [1]),
  post('MLflow, ragged rows', '/invocations', 400, 'application/json', {
    dataframe_split: { columns: ['a', 'b'], data: [[1, 2], [3]] },
  }),
  csv('CSV of nothing', ''),
  csv('CSV of a header alone', 'a,b\n'),
  csv('CSV with a quote that stays open', 'a,b\n"1,2\n'),
  csv('CSV with text behind a quote', 'a,b\n"1"x,2\n'),
  csv('CSV with a column twice', 'a,a\n1,2\n'),
  csv('CSV with cells that are no numbers', 'a,b\none,two\n'),
]

/** Numbers in and out of JSON: the codecs by themselves. */

import { readLargeJson } from '../src/core/dialects/codec/large-json.ts'
import { atOnce, createTextSink, writeElements } from '../src/core/dialects/codec/write-json.ts'
import type { ModelSignature } from '../src/core/tensor/types.ts'
import { measurePairs } from './lib/pairs.ts'
import { type Bench, pairedRow, perSecond, type Row } from './lib/row.ts'
import { PROMISES } from './promises.ts'

const IMAGE = 3 * 224 * 224
const LARGE = 2_000_000
const MS = 300

const value = (): number => Math.fround(Math.random() * 2 - 1)

/** Four bodies in turn: one alone would flatter branch prediction and V8's caches. */
function bodies(count: number, write: () => string): (index: number) => Uint8Array {
  const all = Array.from({ length: 4 }, () => {
    const data = Array.from({ length: count }, write).join(',')
    return Buffer.from(`{"inputs":[{"name":"x","shape":[1,${count}],"datatype":"FP32","data":[${data}]}]}`)
  })
  return (index) => all[index % all.length] as Uint8Array
}

interface Request {
  readonly inputs: readonly { readonly data: ArrayLike<number> }[]
}

const SIGNATURE: ModelSignature = {
  inputs: [{ name: 'x', type: 'float32', declaredType: 'float32', dims: ['N', null] }],
  outputs: [],
}

function read(body: Uint8Array): Float32Array {
  const request = readLargeJson(body, SIGNATURE, { maxElements: LARGE })
  if (!request) throw new Error('the numbers were not scanned')
  return (request as unknown as Request).inputs[0]?.data as Float32Array
}

const parse = (body: Uint8Array): Float32Array => {
  const { inputs } = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8')) as Request
  return Float32Array.from(inputs[0]?.data ?? [])
}

/** Calls per second. */
async function rate(call: (index: number) => unknown): Promise<number> {
  const start = performance.now()
  let calls = 0
  for (; performance.now() - start < MS; calls++) await call(calls)
  return (calls * 1000) / (performance.now() - start)
}

async function parsing(digits: string, write: () => string): Promise<Row> {
  const body = bodies(IMAGE, write)
  const same = Buffer.compare(Buffer.from(read(body(0)).buffer), Buffer.from(parse(body(0)).buffer)) === 0
  if (!same) throw new Error('the two sides read different numbers')
  return pairedRow({
    bench: 'json',
    what: `${IMAGE} floats of ${digits} from a JSON body to a typed array`,
    rival: 'JSON.parse and Float32Array.from',
    pairs: await measurePairs({ ours: () => rate((i) => read(body(i))), rival: () => rate((i) => parse(body(i))) }),
    format: perSecond,
    target: PROMISES.jsonParse,
  })
}

async function writing(): Promise<Row> {
  const arrays = Array.from({ length: 64 }, () => Float32Array.from({ length: 1000 }, value))
  const array = (i: number) => arrays[i % arrays.length] as Float32Array
  const ours = (i: number) => {
    const sink = createTextSink()
    atOnce(writeElements({ type: 'float32', dims: [1000], data: array(i) }, sink))
    return sink.finish()
  }
  return pairedRow({
    bench: 'json',
    what: '1,000 floats to JSON text',
    rival: 'JSON.stringify(Array.from()) as bytes',
    pairs: await measurePairs({
      ours: () => rate(ours),
      rival: () => rate((i) => Buffer.from(JSON.stringify(Array.from(array(i))))),
    }),
    format: perSecond,
    target: PROMISES.jsonWrite,
  })
}

export const json: Bench = {
  name: 'json',
  limitS: 90,
  async run() {
    return [
      await parsing('6 decimals', () => value().toFixed(6)),
      await parsing('17 digits', () => String(value())),
      await writing(),
    ]
  },
}

/** The ways of a prediction that two builds are compared on. */

import { identityModel, mlpModel } from '../../tools/models.mjs'
import { firstPixels, IMAGE } from '../lib/first-pixels.ts'
import { binaryRequest, postRequest } from '../lib/http-connection.ts'
import { product, rotatingFloats } from '../lib/inputs.ts'

/** The layer in front of the model; `lane` is `node:http` with its fast lane asked for. */
export type Front = 'predict' | 'node' | 'lane' | 'express' | 'fastify'

/** How it is asked: by callers in the host's process, or by connections. */
export interface Load {
  readonly what: string
  readonly callers: number
  readonly turnMs: number
  readonly warmMs: number
}

/** A model behind a front, and the loads that it gets one after the other. */
export interface Way {
  /** By which name it is asked for on the command line. */
  readonly part: string
  readonly front: Front
  readonly model: () => Uint8Array
  /** Name and row of the model's one input, float32. */
  readonly input: { readonly name: string; readonly rowDims: readonly number[] }
  /** Rows of a request of `predict()`, in rotation. @default [1] */
  readonly rows?: readonly number[]
  /** Requests of connections, sent in rotation. */
  readonly requests?: () => readonly Buffer[]
  readonly loads: readonly Load[]
}

const PATH = '/v2/models/m/infer'
const FLOATS = 32
const tiny = (): Uint8Array => mlpModel({ layers: [FLOATS, 16, 2] })
const FEATURES = { name: 'features', rowDims: [FLOATS] }
const PIXELS = { name: 'x', rowDims: IMAGE }
const CONNECTIONS = 64
const IMAGE_CONNECTIONS = 8

function jsonRequests({ name, rowDims }: Way['input'], count: number): readonly Buffer[] {
  const floats = rotatingFloats(product(rowDims))
  return Array.from({ length: count }, (_, i) =>
    postRequest(PATH, { inputs: [{ name, datatype: 'FP32', shape: [1, ...rowDims], data: Array.from(floats(i)) }] }),
  )
}

function binaryRequests(): readonly Buffer[] {
  const bytes = 4 * product(IMAGE)
  const header = {
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1, ...IMAGE], parameters: { binary_data_size: bytes } }],
    outputs: [{ name: 'y', parameters: { binary_data: true } }],
  }
  const floats = rotatingFloats(product(IMAGE))
  return Array.from({ length: 4 }, (_, i) => binaryRequest(PATH, header, new Uint8Array(floats(i).slice().buffer)))
}

const predictLoad = (callers: number): Load => ({
  what: `predict(), 32-16-2 MLP, ${callers} caller${callers > 1 ? 's' : ''}`,
  callers,
  turnMs: 200,
  warmMs: 500,
})

const FRONTS = {
  node: 'node:http handler',
  lane: 'node:http handler, fast lane',
  express: 'Express',
  fastify: 'Fastify',
} as const satisfies Partial<Record<Front, string>>

const httpWay = (front: keyof typeof FRONTS): Way => ({
  part: 'http',
  front,
  model: tiny,
  input: FEATURES,
  requests: () => jsonRequests(FEATURES, 64),
  loads: [
    {
      what: `${FRONTS[front]}, ${FLOATS} floats in JSON, ${CONNECTIONS} connections`,
      callers: CONNECTIONS,
      turnMs: 200,
      warmMs: 1500,
    },
  ],
})

const binaryWay = (front: 'node' | 'fastify'): Way => ({
  part: 'binary',
  front,
  model: () => identityModel('float', ['batch', ...IMAGE]),
  input: PIXELS,
  requests: binaryRequests,
  loads: [
    {
      what: `${FRONTS[front]}, a binary tensor of 602 KB there and back, ${IMAGE_CONNECTIONS} connections`,
      callers: IMAGE_CONNECTIONS,
      turnMs: 400,
      warmMs: 1500,
    },
  ],
})

export const WAYS: readonly Way[] = [
  { part: 'predict', front: 'predict', model: tiny, input: FEATURES, loads: [1, 8, 64, 512].map(predictLoad) },
  {
    part: 'batching',
    front: 'predict',
    model: tiny,
    input: FEATURES,
    rows: [1, 4, 2, 3, 1, 8],
    loads: [{ what: 'batching of the 32-16-2 MLP, 1 to 8 rows, 64 callers', callers: 64, turnMs: 200, warmMs: 700 }],
  },
  httpWay('node'),
  httpWay('lane'),
  httpWay('express'),
  httpWay('fastify'),
  binaryWay('node'),
  binaryWay('fastify'),
  {
    part: 'json',
    front: 'node',
    model: firstPixels,
    input: PIXELS,
    requests: () => jsonRequests(PIXELS, 4),
    loads: [
      {
        what: `node:http handler, ${product(IMAGE).toLocaleString('en')} numbers in JSON, ${IMAGE_CONNECTIONS} connections`,
        callers: IMAGE_CONNECTIONS,
        turnMs: 400,
        warmMs: 1500,
      },
    ],
  },
]

export const PARTS: readonly string[] = [...new Set(WAYS.map(({ part }) => part))]

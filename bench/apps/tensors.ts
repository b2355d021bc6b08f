/** A Fastify app for models of any inputs: modelmount, or the route that one writes first. */

import fastify from 'fastify'
import type { ModelSpec } from 'modelmount'
import { modelPlugin } from 'modelmount/fastify'
import * as ort from 'onnxruntime-node'
import { openSession, SESSION } from '../lib/direct.ts'
import { createProvedServer } from '../lib/proved.ts'
import type { AppAnswer } from './ask.ts'
import { KEEP_ALIVE_MS, PATH } from './rivals.ts'

export interface TensorsAsk {
  readonly kind: 'ours' | 'naive'
  readonly model: Uint8Array
  readonly batching?: ModelSpec['batching']
}

interface WireTensor {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  readonly data: readonly number[]
}

interface InferBody {
  readonly inputs: readonly WireTensor[]
  readonly outputs?: readonly { readonly name: string }[]
}

const BODY_LIMIT = 64 * 2 ** 20

const TENSORS: Readonly<Record<string, (data: readonly number[], shape: readonly number[]) => ort.Tensor>> = {
  FP32: (data, shape) => new ort.Tensor('float32', Float32Array.from(data), shape),
  INT64: (data, shape) => new ort.Tensor('int64', BigInt64Array.from(data, BigInt), shape),
}

export async function startTensors({ kind, model, batching }: TensorsAsk): Promise<AppAnswer> {
  const app = fastify({ keepAliveTimeout: KEEP_ALIVE_MS, bodyLimit: BODY_LIMIT })
  if (kind === 'ours') {
    const spec = { name: 'm', source: model, session: SESSION, ...(batching ? { batching } : {}) }
    await app.register(modelPlugin, { server: await createProvedServer({ models: [spec], strict: true }) })
  } else {
    const session = await openSession(model)
    app.post(PATH, (request) => infer(session, request.body as InferBody))
  }
  const address = await app.listen({ port: 0, host: '127.0.0.1' })
  return {
    port: Number(new URL(address).port),
    label: kind === 'ours' ? 'modelmount' : 'session.run() in the route',
  }
}

async function infer(session: ort.InferenceSession, { inputs, outputs }: InferBody) {
  const feeds: Record<string, ort.Tensor> = {}
  for (const { name, datatype, shape, data } of inputs) {
    const read = TENSORS[datatype]
    if (!read) throw new Error(`no input of ${datatype} is sent here`)
    feeds[name] = read(data, shape)
  }
  const results = outputs
    ? await session.run(
        feeds,
        outputs.map(({ name }) => name),
      )
    : await session.run(feeds)
  return {
    model_name: 'm',
    model_version: '1',
    outputs: Object.entries(results).map(([name, { dims, data }]) => ({
      name,
      datatype: 'FP32',
      shape: dims,
      data: Array.from(data as Float32Array),
    })),
  }
}

/**
 * Every adapter against what its framework does at all: an echo that parses the same JSON and answers as many floats, with no model behind it. An
 * adapter may be faster than that, because it reads bodies by itself and the answers of a batch leave together.
 */

import { identityModel, mlpModel } from '../tools/models.mjs'
import type { AppAsk, Framework, Kind } from './apps/ask.ts'
import { PATH } from './apps/rivals.ts'
import type { LoadAnswer, LoadAsk } from './children/load.ts'
import { type AppsWithRequests, jsonRequests, startAll, startJsonApps } from './lib/apps.ts'
import { type Child, startChild } from './lib/child.ts'
import { binaryRequest, sendOnce } from './lib/http-connection.ts'
import { rotatingFloats } from './lib/inputs.ts'
import { measurePairs } from './lib/pairs.ts'
import { type Bench, pairedRow, perSecond, type Row, type Target } from './lib/row.ts'
import { PROMISES } from './promises.ts'

const FLOATS = 32
/** An image of 224 by 224 pixels in three colours. */
const IMAGE = 3 * 224 * 224
const MS = 500
/** Half a megabyte at a time, it takes longer until as many requests have been answered. */
const BINARY_MS = 1000
/** Each app gets so much before anything is measured: it takes V8 some ten thousand requests to compile what they need. */
const WARM_MS = 2000
const PAIRS = 3

type Load = Child<LoadAsk, LoadAnswer>

interface Claim<K> {
  readonly ours: K
  readonly rival: K
  readonly target: Target
}

interface Group<K extends string> {
  readonly apps: AppsWithRequests<K>
  readonly connections: number
  readonly ms: number
  readonly what: (name: string) => string
  readonly claims: readonly Claim<K>[]
}

async function rowsOf<K extends string>(load: Load, { apps, connections, ms: usual, what, claims }: Group<K>): Promise<Row[]> {
  const rate = async (key: K, ms = usual): Promise<number> => {
    const answer = await load.ask({ port: apps.port[key], connections, ms, requests: apps.requests })
    if (answer.failures > 0) throw new Error(`${key}: ${answer.failures} requests failed`)
    return answer.rate
  }
  for (const key of Object.keys(apps.port) as K[]) await rate(key, WARM_MS)
  const rows: Row[] = []
  for (const { ours, rival, target } of claims)
    rows.push(
      pairedRow({
        bench: 'http-adapters',
        what: what(ours),
        rival: apps.label[rival],
        pairs: await measurePairs({ ours: () => rate(ours), rival: () => rate(rival), pairs: PAIRS, areWarm: true }),
        format: perSecond,
        target,
        how: `keep-alive, closed loop of ${usual} ms after ${WARM_MS} ms of warm-up`,
      }),
    )
  await apps.stop()
  return rows
}

async function jsonRows(load: Load): Promise<Row[]> {
  const model = mlpModel({ layers: [FLOATS, 16, 2] })
  const app = (framework: Framework, kind: Kind): AppAsk => ({ framework, kind, model, length: FLOATS })
  const asks = {
    fastify: app('fastify', 'ours'),
    express: app('express', 'ours'),
    'node:http': app('node', 'ours'),
    'attach()': app('attach', 'ours'),
    'fastify echo': app('fastify', 'echo'),
    'express echo': app('express', 'echo'),
    'node:http echo': app('node', 'echo'),
  }
  return rowsOf(load, {
    apps: await startJsonApps(asks, jsonRequests({ name: 'features', length: FLOATS })),
    connections: 64,
    ms: MS,
    what: (name) => `${name}, ${FLOATS} floats in JSON, 32-16-2 MLP, 64 connections`,
    claims: [
      { ours: 'fastify', rival: 'fastify echo', target: PROMISES.fastifyEcho },
      { ours: 'fastify', rival: 'node:http echo', target: PROMISES.fastifyNodeEcho },
      { ours: 'node:http', rival: 'node:http echo', target: PROMISES.nodeEcho },
      { ours: 'attach()', rival: 'node:http echo', target: PROMISES.attachEcho },
      { ours: 'express', rival: 'express echo', target: PROMISES.expressEcho },
    ],
  })
}

async function nestRows(load: Load): Promise<Row[]> {
  const names = ['m', 'n']
  const model = mlpModel({ layers: [FLOATS, 16, 2] })
  const app = (kind: Kind): AppAsk => ({ framework: 'nest', kind, model, length: FLOATS, names })
  return rowsOf(load, {
    apps: await startJsonApps(
      { ours: app('ours'), naive: app('naive') },
      jsonRequests({ name: 'features', length: FLOATS }, names),
    ),
    connections: 64,
    ms: MS,
    what: () => `Nest, two models, ${FLOATS} floats in JSON, 64 connections`,
    claims: [{ ours: 'ours', rival: 'naive', target: PROMISES.nest }],
  })
}

/** Every response equals its request, with any layer in front. */
async function sentBack(port: number, request: Buffer): Promise<Float32Array> {
  const { status, body } = await sendOnce(port, request)
  if (status !== 200) throw new Error(`status ${status}: ${body.toString('utf8', 0, 1000)}`)
  return new Float32Array(Uint8Array.from(body.subarray(-4 * IMAGE)).buffer)
}

async function binaryRows(load: Load): Promise<Row[]> {
  const model = identityModel('float', ['batch', 3, 224, 224])
  const floats = rotatingFloats(IMAGE)
  const header = {
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 3, 224, 224], parameters: { binary_data_size: 4 * IMAGE } }],
    outputs: [{ name: 'y', parameters: { binary_data: true } }],
  }
  const requests = Array.from({ length: 4 }, (_, i) => {
    const { buffer, byteOffset, byteLength } = floats(i)
    return binaryRequest(PATH, header, new Uint8Array(buffer, byteOffset, byteLength))
  })
  const app = (framework: Framework, kind: Kind): AppAsk => ({ framework, kind, model, length: IMAGE })
  const asks = { fastify: app('fastify', 'ours'), express: app('express', 'ours'), 'node:http': app('node', 'bytes') }
  return rowsOf(load, {
    apps: { ...(await startAll(asks, (port) => sentBack(port, requests[0] as Buffer))), requests },
    connections: 8,
    ms: BINARY_MS,
    what: (name) => `${name}, a binary tensor of 602 KB there and back, identity model, 8 connections`,
    claims: [
      { ours: 'fastify', rival: 'node:http', target: PROMISES.binaryFastify },
      { ours: 'express', rival: 'node:http', target: PROMISES.binaryExpress },
    ],
  })
}

export const httpAdapters: Bench = {
  name: 'http-adapters',
  limitS: 120,
  async run() {
    const load = startChild<LoadAsk, LoadAnswer>('children/load.ts')
    const rows = [...(await jsonRows(load)), ...(await nestRows(load)), ...(await binaryRows(load))]
    await load.stop()
    return rows
  },
}

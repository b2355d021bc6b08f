/** One of two builds with a model behind a front, in a process of its own: `modelmount` is what lies in the dist/ that it is told. */

import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { ModelServer } from 'modelmount'
import type { Turn } from '../against/verdict.ts'
import type { Front, Way } from '../against/ways.ts'
import { KEEP_ALIVE_MS } from '../apps/rivals.ts'
import { answerParent } from '../lib/child.ts'
import { mainThread } from '../lib/cpu.ts'
import { SESSION } from '../lib/direct.ts'
import { product, rotatingFloats } from '../lib/inputs.ts'
import { closedLoop } from '../lib/loops.ts'
import { proved } from '../lib/proved.ts'

export interface StartAsk extends Pick<Way, 'front' | 'input' | 'rows'> {
  readonly kind: 'start'
  readonly dist: string
  readonly model: Uint8Array
  /** The first input: both builds must give the same answer. */
  readonly sample: Float32Array
}

export interface StartAnswer {
  /** Where the model is asked over HTTP. */
  readonly port: number | undefined
  readonly answer: Float32Array
  /** Name of what measures CPU time. */
  readonly cpuClock: string
}

export interface TurnAsk {
  readonly kind: 'turn'
  readonly callers: number
  readonly ms: number
}

/** CPU milliseconds of the host's thread so far. */
export interface CpuAsk {
  readonly kind: 'cpu'
}

export type BuildAsk = StartAsk | TurnAsk | CpuAsk
export type BuildAnswer = StartAnswer | Turn | number

/** The build's exports, as this checkout types them. */
interface Exports {
  index: typeof import('modelmount')
  node: typeof import('modelmount/node')
  express: typeof import('modelmount/express')
  fastify: typeof import('modelmount/fastify')
}

type Import = <K extends keyof Exports>(name: K) => Promise<Exports[K]>

const FRONTS: Readonly<Record<Front, (server: ModelServer, load: Import) => Promise<number | undefined>>> = {
  predict: async () => undefined,
  node: async (server, load) => listen((await load('node')).nodeHandler(server, { fastLane: false })),
  async lane(server, load) {
    const port = await listen((await load('node')).nodeHandler(server, { fastLane: true }))
    // The first request puts the lane in front of the server. A connection that was accepted before stays with `node:http`.
    await (await fetch(`http://127.0.0.1:${port}/v2/health/live`)).arrayBuffer()
    return port
  },
  async express(server, load) {
    const { default: express } = await import('express')
    return listen(express().use((await load('express')).modelRouter(server)))
  },
  async fastify(server, load) {
    const { default: fastify } = await import('fastify')
    const app = fastify({ keepAliveTimeout: KEEP_ALIVE_MS })
    await app.register((await load('fastify')).modelPlugin, { server })
    return Number(new URL(await app.listen({ port: 0, host: '127.0.0.1' })).port)
  },
}

async function listen(listener: RequestListener): Promise<number> {
  const http = createServer(listener)
  http.keepAliveTimeout = KEEP_ALIVE_MS
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  return (http.address() as AddressInfo).port
}

let turnOf: ((ask: TurnAsk) => Promise<Turn>) | undefined

async function start({ dist, front, model, input, rows = [1], sample }: StartAsk): Promise<StartAnswer> {
  const load: Import = (name) => import(pathToFileURL(join(dist, `${name}.js`)).href)
  const { createModelServer } = await load('index')
  const server = await proved(await createModelServer({ models: [{ name: 'm', source: model, session: SESSION }], strict: true }))
  const requests = rows.map((count) => {
    const floats = rotatingFloats(count * product(input.rowDims))
    const dims = [count, ...input.rowDims]
    return (i: number) => server.predict('m', { [input.name]: { type: 'float32', dims, data: floats(i) } })
  })
  turnOf = async ({ callers, ms }) => {
    let calls = 0
    const [cpu, wall] = [mainThread.read(), performance.now()]
    await closedLoop(callers, ms, (i) => {
      calls++
      return (requests[i % requests.length] as (i: number) => Promise<unknown>)(i)
    })
    return { calls, wallMs: performance.now() - wall, cpuMs: mainThread.read() - cpu }
  }
  const first = { [input.name]: { type: 'float32', dims: [1, ...input.rowDims], data: sample } as const }
  const [output] = Object.values((await server.predict('m', first)).outputs)
  return { port: await FRONTS[front](server, load), answer: output?.data as Float32Array, cpuClock: mainThread.name }
}

answerParent(async (ask: BuildAsk): Promise<BuildAnswer> => {
  if (ask.kind === 'start') return start(ask)
  if (ask.kind === 'cpu') return mainThread.read()
  if (!turnOf) throw new Error('nothing has been started')
  return turnOf(ask)
})

/** Runs on the host's own thread: the gain for callers, and the cost for other routes. */

import { setTimeout as sleep } from 'node:timers/promises'
import type { ModelServer } from 'modelmount'
import { mlpModel } from '../tools/models.mjs'
import type { LoadAnswer, LoadAsk } from './children/load.ts'
import type { ProbeAnswer, ProbeAsk } from './children/probe.ts'
import { jsonRequests, startJsonApps } from './lib/apps.ts'
import { startChild } from './lib/child.ts'
import { openSession, runRows, SESSION } from './lib/direct.ts'
import { rotatingFloats } from './lib/inputs.ts'
import { closedLoop, latencies } from './lib/loops.ts'
import { measurePairs } from './lib/pairs.ts'
import { createProvedServer } from './lib/proved.ts'
import { type Bench, milliseconds, pairedRow, perSecond, type Row, type Target } from './lib/row.ts'
import { median, quantile } from './lib/stats.ts'
import { startPingPong } from './one-caller.ts'
import { PROMISES } from './promises.ts'

const MS = 300
const LENGTH = 32
const PROBES_PER_SECOND = 100
const PROBE_MS = 1500
const LEAD_MS = 300
const CONNECTIONS = 64
/** Longest wait for a session on the host, on a machine that is busy. */
const PATIENCE_MS = 10_000

/** Asks until the host answers; the worker does until then, and where the event loop never has room. */
async function warm(server: ModelServer, ask: (i: number) => Promise<unknown>): Promise<string> {
  const until = performance.now() + PATIENCE_MS
  while (server.model('m').tier.name !== 'inline' && performance.now() < until) {
    await ask(0)
    await sleep(10)
  }
  return server.model('m').tier.name
}

async function calls(): Promise<Row[]> {
  const source = mlpModel({ layers: [LENGTH, 16, 2] })
  const model = { name: 'm', source, session: SESSION, inline: 'auto', batching: { maxSize: 512 } } as const
  const server = await createProvedServer({ models: [model], strict: true })
  const session = await openSession(source)
  const pingPong = startPingPong()
  const input = rotatingFloats(LENGTH)
  const ours = (i: number) => server.predict('m', { features: input(i) })
  const direct = (i: number) => runRows(session, input(i))
  const note = `before that it was ${await warm(server, ours)}`

  async function rowOf(callers: number, target: Target): Promise<Row> {
    const pairs = await measurePairs({
      ours: () => closedLoop(callers, MS, ours),
      rival: () => closedLoop(callers, MS, direct),
    })
    const what = `predict(), inline: 'auto', 32-16-2 MLP, ${callers} callers`
    const rival = 'session.run() in the caller'
    return pairedRow({ bench: 'inline', what, rival, pairs, format: perSecond, target, how: `closed loop of ${MS} ms`, note })
  }

  const rows = [await rowOf(64, PROMISES.inline64), await rowOf(512, PROMISES.inline512)]
  let busyMs = 0.01
  const pairs = await measurePairs({
    async ours() {
      const runs: number[] = []
      const samples = await latencies(MS, async (i) => {
        runs.push((await ours(i)).timings.inferMs)
      })
      busyMs = median(runs)
      return median(samples)
    },
    rival: async () => median(await latencies(MS, (i) => pingPong.ping(input(i), busyMs))),
  })
  await Promise.all([server.close(), session.release(), pingPong.stop()])
  return [
    ...rows,
    pairedRow({
      bench: 'inline',
      what: "predict() p50, inline: 'auto', 32-16-2 MLP, 1 caller",
      rival: 'message to a worker thread that is busy as long, and back',
      pairs,
      format: milliseconds,
      target: PROMISES.inlineOneCaller,
      how: `one call at a time for ${MS} ms`,
      note,
    }),
  ]
}

async function otherRoutes(): Promise<Row[]> {
  const requests = jsonRequests({ name: 'features', length: LENGTH })
  const ask = { framework: 'fastify', kind: 'ours', model: mlpModel({ layers: [LENGTH, 16, 2] }), length: LENGTH } as const
  const apps = await startJsonApps({ auto: { ...ask, inline: 'auto' }, worker: { ...ask, inline: false } }, requests)
  const load = startChild<LoadAsk, LoadAnswer>('children/load.ts')
  const probe = startChild<ProbeAsk, ProbeAnswer>('children/probe.ts')
  let served = ''

  async function p99(port: number, rate?: number): Promise<number> {
    await probe.ask({ kind: 'connect', port })
    const loading = load.ask({
      ...{ port, connections: CONNECTIONS, ms: PROBE_MS + 2 * LEAD_MS, requests },
      ...(rate === undefined ? {} : { perSecond: rate }),
    })
    await sleep(LEAD_MS)
    const { latencies, failures } = await probe.ask({
      kind: 'probe',
      path: '/h',
      perSecond: PROBES_PER_SECOND,
      ms: PROBE_MS,
    })
    const answer = await loading
    if (failures + answer.failures > 0) throw new Error(`${failures + answer.failures} requests failed`)
    served = perSecond(answer.rate)
    return quantile(latencies, 0.99)
  }

  async function rowOf(what: string, target: Target, rate?: number): Promise<Row> {
    const pairs = await measurePairs({
      ours: () => p99(apps.port.auto, rate),
      rival: () => p99(apps.port.worker, rate),
      pairs: 4,
    })
    return pairedRow({
      bench: 'inline',
      what: `GET /h p99, inline: 'auto', ${what}`,
      rival: 'inline: false',
      pairs,
      format: milliseconds,
      target,
      how: `probe of ${PROBES_PER_SECOND}/s at fixed times, from the moment it was due`,
      note: `the model route answers ${served} meanwhile`,
    })
  }

  const full = await rowOf(`model route saturated by ${CONNECTIONS} connections`, PROMISES.inlineIsolationFull)
  const most = (await load.ask({ port: apps.port.worker, connections: CONNECTIONS, ms: PROBE_MS, requests })).rate
  const half = await rowOf('model route at half load', PROMISES.inlineIsolationHalf, most / 2)
  await Promise.all([load.stop(), probe.stop(), apps.stop()])
  return [half, full]
}

export const inline: Bench = {
  name: 'inline',
  limitS: 150,
  run: async () => [...(await calls()), ...(await otherRoutes())],
}

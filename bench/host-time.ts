/**
 * The event loop's time for one `predict()`. It limits how many calls one process answers, whatever the worker does meanwhile; and it is what
 * an app in production adds to, with metrics, traces and extensions.
 */

import type { ModelServer } from 'modelmount'
import { API_VERSION, type Call, type Extension, PLACES, type Predict, type Stages } from 'modelmount/extension'
import { startTelemetry } from 'modelmount/telemetry/sdk'
import { mlpModel } from '../tools/models.mjs'
import { openSession, runRows, SESSION } from './lib/direct.ts'
import { rotatingFloats } from './lib/inputs.ts'
import { keptSpans } from './lib/kept-spans.ts'
import { busyMicroseconds } from './lib/loops.ts'
import { measurePairs } from './lib/pairs.ts'
import { createProvedServer } from './lib/proved.ts'
import { type Bench, microseconds, pairedRow } from './lib/row.ts'
import { assertSame } from './lib/same.ts'
import { PROMISES } from './promises.ts'

const MS = 300
const CALLERS = 512
const SAMPLED = 0.01

const passOn =
  <C extends Call>(next: Predict<C>): Predict<C> =>
  (call) =>
    next(call)
const idle: Extension = {
  apiVersion: API_VERSION,
  name: 'idle',
  stages: Object.fromEntries(PLACES.map((place) => [place, passOn])) as Stages,
}

export const hostTime: Bench = {
  name: 'host-time',
  limitS: 60,
  async run() {
    const source = mlpModel({ layers: [32, 16, 2] })
    const models = [{ name: 'm', source, session: SESSION, inline: false as const }]
    const input = rotatingFloats(32)
    const session = await openSession(source)
    const direct = (i: number) => runRows(session, input(i))
    const expected = (await direct(0)).data as Float32Array
    const callOf = (server: ModelServer) => (i: number) => server.predict('m', { features: input(i) })
    const check = async (server: ModelServer): Promise<ModelServer> => {
      assertSame((await callOf(server)(0)).outputs.scores?.data as Float32Array, expected)
      return server
    }
    const measure = (call: (i: number) => Promise<unknown>) => () => busyMicroseconds(CALLERS, MS, call)

    const bare = await check(await createProvedServer({ models, strict: true }))
    const overDirect = await measurePairs({ ours: measure(callOf(bare)), rival: measure(direct) })
    // An SDK is for life: nothing is compared with plain calls from here on.
    const telemetry = await startTelemetry({ spanProcessors: [keptSpans()], sampleRatio: SAMPLED })
    const busy = await check(await createProvedServer({ models, strict: true, telemetry, extensions: [idle] }))
    const overBare = await measurePairs({ ours: measure(callOf(busy)), rival: measure(callOf(bare)) })
    await Promise.all([bare.close(), busy.close()])
    await telemetry.shutdown()

    const common = { bench: 'host-time', format: microseconds, how: `closed loop of ${MS} ms` }
    const what = `host time a call, 32-16-2 MLP, ${CALLERS} callers`
    return [
      pairedRow({ ...common, what, rival: 'session.run() in the caller', pairs: overDirect, target: PROMISES.hostTime }),
      pairedRow({
        ...common,
        what: `${what}, metrics, ${SAMPLED * 100} % of traces, a stage in every place`,
        rival: 'without them',
        pairs: overBare,
        target: PROMISES.inProduction,
      }),
    ]
  },
}

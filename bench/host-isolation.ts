/** Latency of another route of the same app while the model route is saturated. */

import { setTimeout as sleep } from 'node:timers/promises'
import { matmulChainModel } from '../tools/models.mjs'
import type { LoadAnswer, LoadAsk } from './children/load.ts'
import type { ProbeAnswer, ProbeAsk } from './children/probe.ts'
import { startApps } from './lib/apps.ts'
import { startChild } from './lib/child.ts'
import { openSession, runRows } from './lib/direct.ts'
import { rotatingFloats } from './lib/inputs.ts'
import { latencies } from './lib/loops.ts'
import { measurePairs } from './lib/pairs.ts'
import { type Bench, milliseconds, pairedRow, perSecond, rowOfRatios } from './lib/row.ts'
import { median, quantile } from './lib/stats.ts'
import { PROMISES } from './promises.ts'

const CONNECTIONS = 64
const PROBES_PER_SECOND = 100
const MS = 2000
const IDLE_MS = 1500
/** The load starts before the probe and ends after it. */
const LEAD_MS = 300
const SIZE = 768
/** Between 3 and 6: long enough to hurt an event loop, short enough that a few seconds hold many. */
const WANTED_RUN_MS = 4.5

async function runMs(model: Uint8Array): Promise<number> {
  const session = await openSession(model)
  const input = rotatingFloats(SIZE)
  const samples = await latencies(300, (i) => runRows(session, input(i)))
  await session.release()
  // Low on purpose: other work on the machine only ever adds.
  return quantile(samples, 0.1)
}

/** As many layers as make a run of some milliseconds here. */
async function modelOfSomeMs(): Promise<{ readonly model: Uint8Array; readonly ms: number }> {
  const probeCount = 16
  const perLayer = (await runMs(matmulChainModel({ size: SIZE, count: probeCount }))) / probeCount
  const model = matmulChainModel({ size: SIZE, count: Math.max(1, Math.min(64, Math.round(WANTED_RUN_MS / perLayer))) })
  return { model, ms: await runMs(model) }
}

export const hostIsolation: Bench = {
  name: 'host-isolation',
  limitS: 150,
  async run() {
    const { model, ms } = await modelOfSomeMs()
    const apps = await startApps('express', ['ours', 'naive'], model, { name: 'x', length: SIZE })
    const load = startChild<LoadAsk, LoadAnswer>('children/load.ts')
    const probe = startChild<ProbeAsk, ProbeAnswer>('children/probe.ts')
    const rates = new Map<number, number[]>()

    async function probeP99(ms: number): Promise<number> {
      const answer = await probe.ask({ kind: 'probe', path: '/h', perSecond: PROBES_PER_SECOND, ms })
      if (answer.failures > 0) throw new Error(`${answer.failures} probes failed`)
      return quantile(answer.latencies, 0.99)
    }
    async function idleP99(port: number): Promise<number> {
      await probe.ask({ kind: 'connect', port })
      return probeP99(IDLE_MS)
    }
    async function loadedP99(port: number): Promise<number> {
      await probe.ask({ kind: 'connect', port })
      const loading = load.ask({ port, connections: CONNECTIONS, ms: MS + 2 * LEAD_MS, requests: apps.requests })
      await sleep(LEAD_MS)
      const p99 = await probeP99(MS)
      const { rate, failures } = await loading
      if (failures > 0) throw new Error(`${failures} requests failed`)
      rates.set(port, [...(rates.get(port) ?? []), rate])
      return p99
    }

    const idle = await measurePairs({ ours: () => idleP99(apps.port.ours), rival: () => idleP99(apps.port.naive), pairs: 2 })
    const loaded = await measurePairs({
      ours: () => loadedP99(apps.port.ours),
      rival: () => loadedP99(apps.port.naive),
      pairs: 3,
    })
    await Promise.all([load.stop(), probe.stop(), apps.stop()])
    const idleMs = median(idle.ours)
    const served = (port: number): string => perSecond(median(rates.get(port) ?? []))
    return [
      pairedRow({
        bench: 'host-isolation',
        what: `GET /h p99, model route saturated by ${CONNECTIONS} connections`,
        rival: 'session.run() in the route',
        pairs: loaded,
        format: milliseconds,
        target: PROMISES.hostIsolation,
        how: `probe of ${PROBES_PER_SECOND}/s at fixed times, from the moment it was due`,
        note: `one run takes ${milliseconds(ms)}; model route meanwhile ${served(apps.port.ours)}, rival ${served(apps.port.naive)}`,
      }),
      rowOfRatios({
        bench: 'host-isolation',
        what: `GET /h p99, model route saturated by ${CONNECTIONS} connections`,
        ours: milliseconds(median(loaded.ours)),
        rival: `the same app idle: ${milliseconds(idleMs)}`,
        ratios: loaded.ours.map((p99) => p99 / idleMs),
        how: 'the same probe',
      }),
      pairedRow({
        bench: 'host-isolation',
        what: 'GET /h p99, idle',
        rival: 'session.run() in the route',
        pairs: idle,
        format: milliseconds,
      }),
    ]
  },
}

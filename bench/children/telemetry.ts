/** An Express app with telemetry beside the same without, or what a collection costs; in a process of its own, because an SDK is for life. */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import express from 'express'
import type { ModelInfo, ModelServer, Telemetry } from 'modelmount'
import { modelRouter } from 'modelmount/express'
import { type StartedTelemetry, type StartTelemetryOptions, startTelemetry } from 'modelmount/telemetry/sdk'
import { answerParent } from '../lib/child.ts'
import { mainThread } from '../lib/cpu.ts'
import { SESSION } from '../lib/direct.ts'
import { keptSpans } from '../lib/kept-spans.ts'
import { createProvedServer } from '../lib/proved.ts'
import { median } from '../lib/stats.ts'

export type Mode = 'metrics' | 'sampled' | 'all'

export interface TelemetryAsk {
  readonly mode: Mode
  readonly model: Uint8Array
}

export interface TelemetryAnswer {
  readonly port: number
  /** Of the same app without telemetry. */
  readonly offPort: number
}

/** Work of the event loop's thread so far. */
export interface CpuAsk {
  readonly mode: 'cpu'
}

export interface CollectAsk {
  readonly mode: 'collect'
  readonly model: Uint8Array
}

/** Milliseconds of the event loop for one collection with as many models. */
export interface CollectAnswer {
  readonly models: number
  readonly ms: number
  readonly bytes: number
}

const MODELS = 100
const COLLECTIONS = 15

const OPTIONS: Readonly<Record<Mode, () => StartTelemetryOptions>> = {
  metrics: () => ({ otlp: false }),
  sampled: () => ({ spanProcessors: [keptSpans()], sampleRatio: 0.01 }),
  all: () => ({ spanProcessors: [keptSpans()] }),
}

answerParent(async (ask: TelemetryAsk | CpuAsk | CollectAsk): Promise<TelemetryAnswer | CollectAnswer | number> => {
  if (ask.mode === 'cpu') return mainThread.read()
  if (ask.mode === 'collect') return collectMany(ask.model)
  const telemetry = await startTelemetry(OPTIONS[ask.mode]())
  return { port: await mount(ask.model, telemetry), offPort: await mount(ask.model, undefined) }
})

const serve = (model: Uint8Array, telemetry: StartedTelemetry | undefined): Promise<ModelServer> =>
  createProvedServer({ telemetry, models: [{ name: 'm', source: model, session: SESSION }], strict: true })

/** @returns its port */
async function mount(model: Uint8Array, telemetry: StartedTelemetry | undefined): Promise<number> {
  const app = express()
  app.use(modelRouter(await serve(model, telemetry)))
  const http = createServer(app)
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  return (http.address() as AddressInfo).port
}

/** The same model under a hundred names, each with traffic. */
async function collectMany(model: Uint8Array): Promise<CollectAnswer> {
  const telemetry = await startTelemetry(OPTIONS.metrics())
  const info = (await serve(model, telemetry)).models()[0] as ModelInfo
  const names = Array.from({ length: MODELS }, (_, i) => `model-${i}`)
  const times = { startedAt: 0, endedAt: 3, sentAt: 1, queueMs: 1, inputMs: 0.1, inferMs: 1, outputMs: 0.1 }
  for (const name of names) {
    const of = { model: name, version: '1', error: undefined, ...times }
    telemetry.end?.({ ...of, batchSize: 1, cached: false }, undefined)
    telemetry.run?.({ ...of, provider: 'cpu', instance: 1, requests: 1, rows: 1, padding: 0, reason: 'idle', traces: [] })
  }
  const infos = names.map((name): ModelInfo => ({ ...info, name }))
  const unwatch = telemetry.watch?.({ models: () => infos, subscribe: () => () => {} } satisfies Parameters<
    NonNullable<Telemetry['watch']>
  >[0])
  const ms: number[] = []
  let bytes = 0
  for (let i = 0; i < COLLECTIONS; i++) {
    await sleep(20)
    const before = performance.eventLoopUtilization()
    bytes = (await telemetry.metricsText()).text.length
    ms.push(performance.eventLoopUtilization(before).active)
  }
  unwatch?.()
  return { models: MODELS, ms: median(ms.slice(3)), bytes }
}

/** Turns a collection into text: a small one at once, a large one in a thread of its own. */

import type { Worker } from 'node:worker_threads'
import type { ResourceMetrics } from '@opentelemetry/sdk-metrics'
import { findScript, startThread } from '../core/host/scripts.ts'
import { asPrometheus, newSerializer } from './prometheus-names.ts'
import type { WriteAnswer, WriteAsk } from './prometheus-worker.ts'

/** From this size on, handing the numbers to a thread costs the event loop less than writing them: a few milliseconds. */
const LARGE_POINTS = 300

export interface Writer {
  write(metrics: ResourceMetrics): Promise<string>
  close(): Promise<void>
}

export function createWriter(): Writer {
  const serializer = newSerializer()
  const waiting = new Map<number, (text: string | undefined) => void>()
  let worker: Worker | undefined
  let broken = false
  let nextId = 1

  function start(): Worker | undefined {
    const file = findScript('prometheus-worker')
    if (!file) return undefined
    const started = startThread(file, {
      name: 'modelmount-metrics',
      resourceLimits: { maxOldGenerationSizeMb: 256 },
    })
    started.unref()
    started.on('message', ({ id, text }: WriteAnswer) => settle(id, text))
    started.on('error', () => {
      broken = true
    })
    started.on('exit', () => {
      worker = undefined
      for (const id of waiting.keys()) settle(id, undefined)
    })
    return started
  }

  function settle(id: number, text: string | undefined): void {
    waiting.get(id)?.(text)
    waiting.delete(id)
    if (waiting.size === 0) worker?.unref()
  }

  function inThread(metrics: ResourceMetrics): Promise<string | undefined> {
    if (!broken) worker ??= start()
    const thread = worker
    if (!thread) return Promise.resolve(undefined)
    const { resource, scopeMetrics } = metrics
    return new Promise((resolve) => {
      const id = nextId++
      waiting.set(id, resolve)
      thread.ref()
      thread.postMessage({
        id,
        metrics: { resource: { attributes: resource.attributes } as ResourceMetrics['resource'], scopeMetrics },
      } satisfies WriteAsk)
    })
  }

  return {
    async write(collected) {
      const metrics = asPrometheus(collected)
      const text = pointsOf(metrics) >= LARGE_POINTS ? await inThread(metrics) : undefined
      return text ?? serializer.serialize(metrics)
    },
    async close() {
      await worker?.terminate()
    },
  }
}

const pointsOf = ({ scopeMetrics }: ResourceMetrics): number =>
  scopeMetrics.reduce((sum, { metrics }) => sum + metrics.reduce((all, { dataPoints }) => all + dataPoints.length, 0), 0)

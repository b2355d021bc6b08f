/** Writes large collections beside the host's event loop: a hundred models are ten thousand lines. */

import { parentPort } from 'node:worker_threads'
import type { PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { newSerializer } from './prometheus-names.ts'

export interface WriteAsk {
  readonly id: number
  readonly metrics: Parameters<PrometheusSerializer['serialize']>[0]
}

export interface WriteAnswer {
  readonly id: number
  /** `undefined` if it could not be written. */
  readonly text: string | undefined
}

const serializer = newSerializer()

parentPort?.on('message', ({ id, metrics }: WriteAsk) => {
  let text: string | undefined
  try {
    text = serializer.serialize(metrics)
  } catch {
    // The host writes it itself, and fails in its own words.
  }
  parentPort?.postMessage({ id, text } satisfies WriteAnswer)
})

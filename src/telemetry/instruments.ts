/** Destinations of numbers: histograms that are recorded to, and all others, which are read at a collection. */

import type { Attributes, Meter, Observable } from '@opentelemetry/api'
import type { MetricName } from './names.ts'

export interface Recorder {
  /** @param attributes the same object for the same series, every time */
  record(value: number, attributes: Attributes): void
}

/** Reports a number of one of the metrics that are read. */
export type Observe<K extends string> = (key: K, value: number, attributes?: Attributes) => void

export interface Instruments {
  histogram(metric: MetricName): Recorder
  /** @param read called at every collection. @returns a function that ends it */
  observe<K extends string>(metrics: Readonly<Record<K, MetricName>>, read: (observe: Observe<K>) => void): () => void
  /** A series has ended. */
  forget(attributes: Attributes): void
}

/** Instruments of the app's meter. The SDK decides what they forget, and when. */
export function meterInstruments(meter: Meter): Instruments {
  return {
    histogram: ({ name, unit, description, buckets }) =>
      meter.createHistogram(name, { unit, description, advice: buckets ? { explicitBucketBoundaries: [...buckets] } : {} }),
    observe(metrics, read) {
      const made = new Map<string, Observable>(
        Object.entries<MetricName>(metrics).map(([key, metric]) => [key, observable(meter, metric)]),
      )
      const all = [...made.values()]
      const callback: Parameters<Meter['addBatchObservableCallback']>[0] = (result) =>
        read((key, value, attributes) => result.observe(made.get(key) as Observable, value, attributes))
      meter.addBatchObservableCallback(callback, all)
      return () => meter.removeBatchObservableCallback(callback, all)
    },
    forget() {},
  }
}

function observable(meter: Meter, { name, kind, unit, description }: MetricName): Observable {
  const options = { unit, description }
  if (kind === 'counter') return meter.createObservableCounter(name, options)
  return kind === 'updown' ? meter.createObservableUpDownCounter(name, options) : meter.createObservableGauge(name, options)
}

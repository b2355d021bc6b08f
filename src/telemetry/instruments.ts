/** Where numbers go: histograms that are recorded to, and everything else, which is read when somebody collects. */

import type { Attributes, Meter, Observable } from '@opentelemetry/api'
import type { MetricName } from './names.ts'

export interface Recorder {
  /** @param attributes the same object for the same series, every time */
  record(value: number, attributes: Attributes): void
}

/** Tells a number of one of the metrics that are read. */
export type Observe<K extends string> = (key: K, value: number, attributes?: Attributes) => void

export interface Instruments {
  histogram(metric: MetricName): Recorder
  /** @param read called at every collection. @returns ends it */
  observe<K extends string>(metrics: Readonly<Record<K, MetricName>>, read: (observe: Observe<K>) => void): () => void
  /** A series has come to its end. */
  forget(attributes: Attributes): void
}

/** Instruments of whatever meter the app has. What they forget and when is the SDK's. */
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

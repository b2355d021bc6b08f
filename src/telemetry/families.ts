/**
 * Merges families of one name. The text leaves scopes out, so a name in two scopes would appear twice. Prometheus refuses such a text or
 * keeps the first of two numbers.
 */

import { type DataPoint, DataPointType, type Histogram, type MetricData, type ScopeMetrics } from '@opentelemetry/sdk-metrics'

/** @returns each name once. Counts of one series add up; of two gauges the first is kept, and so is the first of two kinds of metric */
export function oneFamilyEach(scopes: readonly ScopeMetrics[]): ScopeMetrics[] {
  const [first] = scopes
  if (!first || scopes.length === 1) return [...scopes]
  const families = new Map<string, MetricData>()
  for (const metric of scopes.flatMap(({ metrics }) => metrics)) {
    const { name } = metric.descriptor
    const known = families.get(name)
    families.set(name, known ? together(known, metric) : metric)
  }
  return [{ scope: first.scope, metrics: [...families.values()] }]
}

function together(one: MetricData, other: MetricData): MetricData {
  if (one.dataPointType === DataPointType.SUM && other.dataPointType === DataPointType.SUM) {
    if (one.isMonotonic !== other.isMonotonic) return one
    return { ...one, dataPoints: merged(one.dataPoints, other.dataPoints, one.isMonotonic ? (a, b) => a + b : undefined) }
  }
  if (one.dataPointType === DataPointType.GAUGE && other.dataPointType === DataPointType.GAUGE)
    return { ...one, dataPoints: merged(one.dataPoints, other.dataPoints) }
  if (one.dataPointType === DataPointType.HISTOGRAM && other.dataPointType === DataPointType.HISTOGRAM)
    return { ...one, dataPoints: merged(one.dataPoints, other.dataPoints, sumOf) }
  return one
}

/** @param add adds two values of one series; without it the first is kept */
function merged<V>(ones: readonly DataPoint<V>[], others: readonly DataPoint<V>[], add?: (a: V, b: V) => V): DataPoint<V>[] {
  const series = new Map(ones.map((point) => [keyOf(point), point]))
  for (const point of others) {
    const key = keyOf(point)
    const known = series.get(key)
    if (!known) series.set(key, point)
    else if (add) series.set(key, { ...known, value: add(known.value, point.value) })
  }
  return [...series.values()]
}

const keyOf = ({ attributes }: DataPoint<unknown>): string =>
  JSON.stringify(Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1)))

/** Histograms with other bounds cannot be added. */
function sumOf(a: Histogram, b: Histogram): Histogram {
  const { boundaries } = a.buckets
  if (boundaries.length !== b.buckets.boundaries.length || boundaries.some((bound, i) => bound !== b.buckets.boundaries[i]))
    return a
  const counts = a.buckets.counts.map((count, i) => count + (b.buckets.counts[i] ?? 0))
  return { buckets: { boundaries, counts }, count: a.count + b.count, sum: (a.sum ?? 0) + (b.sum ?? 0) }
}

/** The numbers that go to readers directly are those that the SDK would have made. */

import { type Attributes, ValueType } from '@opentelemetry/api'
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { MeterProvider, type MetricData } from '@opentelemetry/sdk-metrics'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { meterInstruments } from '../../src/telemetry/instruments.ts'
import { METRICS } from '../../src/telemetry/names.ts'
import { createProducer } from '../../src/telemetry/producer.ts'

const { requestDuration, rows, saturation, waiting } = METRICS
const SERIES: readonly Attributes[] = [{ 'model.name': 'a' }, { 'model.name': 'b', 'error.type': 'QUEUE_FULL' }]

/** Both ways at once, through one reader. */
function both() {
  const { instruments, producer } = createProducer({ name: 'direct', version: '1' })
  const reader = new PrometheusExporter({ preventServerStart: true, metricProducers: [producer] })
  const provider = new MeterProvider({ readers: [reader] })
  return {
    direct: instruments,
    sdk: meterInstruments(provider.getMeter('sdk')),
    async collected() {
      const { resourceMetrics, errors } = await reader.collect()
      const of = (scope: string) => resourceMetrics.scopeMetrics.find((found) => found.scope.name === scope)?.metrics ?? []
      return { direct: of('direct').map(plain), sdk: of('sdk').map(plain), errors }
    },
  }
}

/** Without times, and without the advice that only the SDK keeps. */
const plain = ({ descriptor: { name, unit, description, valueType }, dataPointType, dataPoints, ...rest }: MetricData) => ({
  name,
  unit,
  description,
  isDouble: valueType === ValueType.DOUBLE,
  dataPointType,
  isMonotonic: 'isMonotonic' in rest ? rest.isMonotonic : undefined,
  points: dataPoints.map(({ attributes, value }) => ({ attributes, value })),
})

test('histograms are equal, bounds and all', async () => {
  const value = fc.oneof(fc.double({ min: 0, max: 20, noNaN: true }), fc.constantFrom(...requestDuration.buckets))
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(value, fc.constantFrom(...SERIES)), { minLength: 1, maxLength: 50 }), async (records) => {
      const { direct, sdk, collected } = both()
      const recorders = [direct, sdk].map((instruments) => instruments.histogram(requestDuration))
      for (const [value, attributes] of records) for (const recorder of recorders) recorder.record(value, attributes)
      const found = await collected()
      expect(found.direct).toEqual(found.sdk)
    }),
    { numRuns: 50 },
  )
})

test('what is read is equal too, until it ends; a series that is forgotten is gone', async () => {
  const { direct, sdk, collected } = both()
  const ends = [direct, sdk].map((instruments) =>
    instruments.observe({ rows, saturation, waiting }, (observe) => {
      for (const attributes of SERIES) observe('rows', 3, attributes)
      observe('saturation', 0.5)
      observe('waiting', 2, SERIES[0])
    }),
  )
  const found = await collected()
  expect(found.direct).toHaveLength(3)
  expect(found.direct).toEqual(found.sdk)
  for (const end of ends) end()
  const recorder = direct.histogram(requestDuration)
  for (const attributes of SERIES) recorder.record(1, attributes)
  direct.forget(SERIES[0] as Attributes)
  expect((await collected()).direct).toMatchObject([{ points: [{ attributes: SERIES[1] }] }])
})

test('a read that throws is an error of the collection, and costs no other number', async () => {
  const { direct, collected } = both()
  direct.observe({ rows }, () => {
    throw new Error('on purpose')
  })
  direct.observe({ waiting }, (observe) => observe('waiting', 1))
  const found = await collected()
  expect(found.direct.map(({ name }) => name)).toEqual([waiting.name])
  expect(found.errors).toEqual([expect.objectContaining({ message: 'on purpose' })])
})

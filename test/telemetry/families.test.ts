/** A name that several scopes use stands once in the text, which leaves scopes out. */

import { MeterProvider } from '@opentelemetry/sdk-metrics'
import { expect, onTestFinished, test } from 'vitest'
import { createPrometheus } from '../../src/telemetry/prometheus.ts'
import { familiesOf } from '../support/prometheus-text.ts'

function meters() {
  const prometheus = createPrometheus([])
  const provider = new MeterProvider({ readers: [prometheus.reader] })
  onTestFinished(async () => {
    await provider.shutdown()
    await prometheus.close()
  })
  return { meters: ['a', 'b'].map((name) => provider.getMeter(name)), text: async () => (await prometheus.text()).text }
}

test('counts add up, gauges stand once, series of their own stay', async () => {
  const { meters: both, text } = meters()
  for (const [index, meter] of both.entries()) {
    const counter = meter.createCounter('jobs', { unit: '{job}' })
    counter.add(2 + index, { queue: 'shared', kind: 'x' })
    counter.add(10, { queue: `own-${index}` })
    meter.createHistogram('wait', { unit: 's', advice: { explicitBucketBoundaries: [1, 2] } }).record(1.5)
    meter.createObservableGauge('load').addCallback((result) => result.observe(5 + index))
    meter.createUpDownCounter('open').add(7)
  }
  const families = familiesOf(await text())
  expect(families.get('jobs_total')).toEqual({
    type: 'counter',
    samples: new Map([
      ['jobs_total{kind="x",queue="shared"}', 5],
      ['jobs_total{queue="own-0"}', 10],
      ['jobs_total{queue="own-1"}', 10],
    ]),
  })
  expect(Object.fromEntries(families.get('wait_seconds')?.samples ?? [])).toEqual({
    'wait_seconds_count{}': 2,
    'wait_seconds_sum{}': 3,
    'wait_seconds_bucket{le="1"}': 0,
    'wait_seconds_bucket{le="2"}': 2,
    'wait_seconds_bucket{le="+Inf"}': 2,
  })
  expect(families.get('load')?.samples).toEqual(new Map([['load{}', 5]]))
  expect(families.get('open')?.samples).toEqual(new Map([['open{}', 7]]))
})

test('two kinds of metric under one name: the first stands', async () => {
  const { meters: both, text } = meters()
  both[0]?.createHistogram('size', { advice: { explicitBucketBoundaries: [1] } }).record(1)
  both[1]?.createObservableGauge('size').addCallback((result) => result.observe(1))
  const families = familiesOf(await text())
  expect(families.get('size')?.type).toBe('histogram')
})

test('histograms of other bounds are not added', async () => {
  const { meters: both, text } = meters()
  for (const [index, meter] of both.entries())
    meter.createHistogram('size', { advice: { explicitBucketBoundaries: [1, 2 + index] } }).record(1.5)
  expect(
    familiesOf(await text())
      .get('size')
      ?.samples.get('size_count{}'),
  ).toBe(1)
})

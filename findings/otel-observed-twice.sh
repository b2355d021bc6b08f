#!/usr/bin/env bash
# A meter keeps one of two numbers that are observed under one name
#
# Versions: @opentelemetry/sdk-metrics 2.12.0, @opentelemetry/api 1.9.1, Node 20 or later.
# Guess: Two parts of an app that observe a counter of one name and the same attributes are added up, as
# two that count with add() are; or the SDK warns.
# Happens: The callback that was added last wins, without a warning: of 100 and 30 the meter has 30.
# Two that count with add() have 130.
# Matters: An app with two model servers, two pools or two caches sees the numbers of one, and nothing
# tells that the other is missing.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
npm init -y >package.log
npm install --silent --no-audit --no-fund --ignore-scripts @opentelemetry/api@1.9.1 @opentelemetry/sdk-metrics@2.12.0 >install.log
node --input-type=commonjs - <<'JS'
const assert = require('node:assert/strict')
const { diag, DiagLogLevel } = require('@opentelemetry/api')
const { MeterProvider, MetricReader } = require('@opentelemetry/sdk-metrics')

class Reader extends MetricReader {
  async onForceFlush() {}
  async onShutdown() {}
}

const main = async () => {
  const warnings = []
  const note = (message) => warnings.push(message)
  const logger = { error: note, warn: note, info() {}, debug() {}, verbose() {} }
  diag.setLogger(logger, DiagLogLevel.WARN)
  const reader = new Reader()
  const meter = new MeterProvider({ readers: [reader] }).getMeter('app')
  for (const value of [100, 30]) {
    meter.createObservableCounter('observed').addCallback((result) => result.observe(value))
    meter.createCounter('counted').add(value)
  }
  const { resourceMetrics } = await reader.collect()
  const values = Object.fromEntries(
    resourceMetrics.scopeMetrics[0].metrics.map(({ descriptor, dataPoints }) => [descriptor.name, dataPoints.map(({ value }) => value)]),
  )
  console.log('100 and 30 under one name', values, 'warnings', warnings.length)
  assert.deepEqual(values, { observed: [30], counted: [130] })
  assert.equal(warnings.length, 0)
}
main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
JS

/** docs/telemetry.md and the dashboard say what the code says. `UPDATE_DOCS=1` writes the tables. */

import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { METRICS, type MetricName, SPANS, TRITON_METRICS } from '../../src/telemetry/names.ts'
import { needs } from '../support/needs.ts'
import { EXAMPLE, example, namesIn, unitsLeftOut, withoutUnits, withUnits } from './dashboard-names.ts'

const DOC = new URL('../../docs/telemetry.md', import.meta.url)

const code = (texts: readonly string[]): string => texts.map((text) => `\`${text}\``).join(', ')
const table = (heads: readonly string[], rows: readonly (readonly string[])[]): string =>
  [heads, heads.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`.replace('| --- |', '|---|')).join('\n')
const metricRows = (metrics: Readonly<Record<string, MetricName>>) =>
  Object.values(metrics).map(({ name, kind, unit, description, attributes }) => [
    `\`${name}\``,
    kind === 'updown' ? 'up-down' : kind,
    unit,
    code(attributes),
    description,
  ])
const HEADS = ['name', 'kind', 'unit', 'attributes', '']

const TABLES = {
  spans: table(
    ['name', 'attributes', ''],
    Object.values(SPANS).map(({ name, attributes, description }) => [`\`${name}\``, code(attributes), description]),
  ),
  metrics: table(HEADS, metricRows(METRICS)),
  triton: table(HEADS, metricRows(TRITON_METRICS)),
}

test('docs/telemetry.md lists every span, metric and attribute', () => {
  const text = readFileSync(DOC, 'utf8')
  let wanted = text
  for (const [name, rows] of Object.entries(TABLES))
    wanted = wanted.replace(
      new RegExp(`(<!-- ${name} -->\\n).*?(<!-- /${name} -->)`, 's'),
      (_, open, close) => `${open}${rows}\n${close}`,
    )
  if (process.env.UPDATE_DOCS) writeFileSync(DOC, wanted)
  else expect(text).toBe(wanted)
})

test('names are unique, units are UCUM, buckets grow', () => {
  const metrics: readonly MetricName[] = [...Object.values(METRICS), ...Object.values(TRITON_METRICS)]
  expect(new Set(metrics.map(({ name }) => name)).size).toBe(metrics.length)
  for (const { name, kind, buckets, unit } of metrics) {
    expect([name, kind === 'histogram']).toEqual([name, buckets !== undefined])
    expect([name, [...(buckets ?? [])].sort((a, b) => a - b)]).toEqual([name, buckets ?? []])
    expect(unit).toMatch(/^(s|By|W|1|\{\w+\}|)$/)
  }
})

/** Files with names as each way to Prometheus writes them. */
const KINDS: readonly {
  readonly dashboard: string
  readonly rules: string
  readonly namesOf: (metric: MetricName) => string[]
}[] = [
  { dashboard: 'dashboard.json', rules: 'rules.yml', namesOf: withUnits },
  { dashboard: 'dashboard-without-units.json', rules: 'rules-without-units.yml', namesOf: withoutUnits },
]
const known = (namesOf: (metric: MetricName) => string[]) => new Set(Object.values(METRICS).flatMap(namesOf))

test.each([
  ['dashboard.json', 'dashboard-without-units.json'],
  ['rules.yml', 'rules-without-units.yml'],
])('%s is there for names without units, too', (file, other) => {
  const wanted = unitsLeftOut(example(file))
  if (process.env.UPDATE_DOCS) writeFileSync(new URL(other, EXAMPLE), wanted)
  else expect(example(other)).toBe(wanted)
})

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: readonly { readonly refId: string; readonly expr: string; readonly datasource: { readonly uid: string } }[]
}

test.each(KINDS)('$dashboard asks for metrics that there are, in panels that do not overlap', ({ dashboard: file, namesOf }) => {
  const dashboard = JSON.parse(example(file))
  const panels = dashboard.panels as readonly Panel[]
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
  )
  expect(new Set(cells).size).toBe(cells.length)
  expect(panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true)
  const asked = panels.flatMap(({ targets = [] }) => targets)
  expect(asked.every(({ datasource }) => datasource.uid === `\${datasource}`)).toBe(true)
  expect(asked.flatMap(({ expr }) => namesIn(expr)).filter((name) => !known(namesOf).has(name))).toEqual([])
  const variables = dashboard.templating.list.map(({ name }: { name: string }) => name)
  for (const { expr } of asked)
    for (const [, name = ''] of expr.matchAll(/\$(\w+)/g)) expect(['__rate_interval', ...variables]).toContain(name)
})

test.each(KINDS)('$rules asks for metrics that there are', ({ rules, namesOf }) => {
  const expressions = example(rules)
    .split('\n')
    .filter((line) => !/^\s*(#|- alert|- record|- name)/.test(line))
  expect(expressions.flatMap(namesIn).filter((name) => !known(namesOf).has(name))).toEqual([])
})

test.each(KINDS)('every metric is in a panel of $dashboard, or something is told when it is wrong', (kind) => {
  const seen = new Set([kind.dashboard, kind.rules].flatMap((file) => namesIn(example(file))))
  const unseen = Object.values(METRICS).filter((metric) => !kind.namesOf(metric).some((name) => seen.has(name)))
  expect(unseen.map(({ name }) => name)).toEqual([])
})

const promtool = process.env.PROMETHEUS?.replace(/prometheus$/, 'promtool') ?? 'promtool'
const PROMTOOL = needs('promtool', !spawnSync(promtool, ['--version']).error)
test('promtool finds the rules, their tests and the configuration valid', PROMTOOL, () => {
  const cwd = fileURLToPath(EXAMPLE)
  for (const args of [
    ['check', 'rules', 'rules.yml', 'rules-without-units.yml'],
    ['check', 'config', 'prometheus.yml'],
    ['test', 'rules', 'rules.test.yml'],
  ])
    execFileSync(promtool, args, { cwd, stdio: 'pipe' })
})

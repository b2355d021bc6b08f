/** Names of our metrics as the two ways to Prometheus write them. */

import { readFileSync } from 'node:fs'
import { METRICS, type MetricName } from '../../src/telemetry/names.ts'

export const EXAMPLE = new URL('../../examples/observability/', import.meta.url)

const unitOf = ({ kind, unit }: MetricName): string =>
  ({ s: '_seconds', By: '_bytes', W: '_watts', '1': kind === 'gauge' ? '_ratio' : '' })[unit] ?? ''

/** @param unit the end of the name: `startTelemetry()`, the Collector and Prometheus' own receiver say the unit; the JavaScript exporter says none */
function endings({ name, kind }: MetricName, unit: string): string[] {
  const base = name.replaceAll('.', '_') + unit
  if (kind === 'histogram') return ['_bucket', '_sum', '_count'].map((end) => base + end)
  return [kind === 'counter' ? `${base}_total` : base]
}

export const withUnits = (metric: MetricName): string[] => endings(metric, unitOf(metric))
export const withoutUnits = (metric: MetricName): string[] => endings(metric, '')

const LABELS = new Set(Object.values(METRICS).flatMap(({ attributes }) => attributes.map((name) => name.replaceAll('.', '_'))))

/** Metrics that an expression, or any text with some, asks for. */
export const namesIn = (text: string): string[] =>
  text.match(/\b(?:modelmount|nodejs|process|hw)_\w+/g)?.filter((name) => !LABELS.has(name)) ?? []

/** The file with units in its names, as it must be where names have none. */
export function unitsLeftOut(text: string): string {
  const renamed = new Map(
    Object.values<MetricName>(METRICS).flatMap((metric) => {
      const others = withoutUnits(metric)
      return withUnits(metric).map((name, i) => [name, others[i] ?? name] as const)
    }),
  )
  return text
    .replace(/\b(?:modelmount|nodejs|process|hw)_\w+/g, (name) => renamed.get(name) ?? name)
    .replace('"uid": "modelmount"', '"uid": "modelmount-without-units"')
    .replace('"title": "modelmount"', '"title": "modelmount (names without units)"')
    .replaceAll('rules.yml', 'rules-without-units.yml')
}

export const example = (file: string): string => readFileSync(new URL(file, EXAMPLE), 'utf8')

/** Expressions of all panels. */
export const expressionsOf = (dashboard: string): string[] =>
  (JSON.parse(dashboard) as { panels: { targets?: { expr: string }[] }[] }).panels.flatMap(({ targets = [] }) =>
    targets.map(({ expr }) => expr),
  )

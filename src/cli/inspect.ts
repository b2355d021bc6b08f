/** What an ONNX file takes and gives, for people and for scripts. Text of the file never reaches the terminal unescaped. */

import { stat } from 'node:fs/promises'
import { readOnnx, servableOutputs, unsupportedReason } from '../core/onnx/index.ts'
import { printable } from '../core/printable.ts'
import type { OnnxModelFacts, ValueInfo } from '../core/types.ts'
import { type Command, parse, UsageError } from './command.ts'

export const inspectCommand: Command = {
  usage: `  modelmount inspect FILE [--json]
      Prints what a model file takes and gives, without running it.`,
  async run(argv) {
    const { values, positionals } = parse(argv, { json: { type: 'boolean', default: false } })
    const [file, ...more] = positionals
    if (file === undefined || more.length > 0) throw new UsageError('inspect takes one FILE')
    process.stdout.write(`${(await inspect(file, { json: values.json === true })).trimEnd()}\n`)
    return 0
  },
}

interface Report {
  readonly path: string
  readonly size: number
  readonly facts: OnnxModelFacts
  readonly served: ReadonlySet<ValueInfo>
  readonly reason: string | undefined
}

type Row = readonly string[]

const MAX_TEXT_CHARS = 200
const UNITS = ['kB', 'MB', 'GB', 'TB']

/** In JSON only strings can hold these; JSON.stringify leaves them as they are, and terminals obey some. */
const RAW_IN_JSON = /[\x7f-\x9f]|\p{Cf}|\p{Zl}|\p{Zp}/gu

/**
 * Describes a model file without running it.
 * @param path an `.onnx` file
 * @param opts.json one JSON object with fixed keys instead of a table
 * @throws ModelmountError as `readOnnx` does
 */
export async function inspect(path: string, { json }: { readonly json: boolean }): Promise<string> {
  const facts = await readOnnx(path)
  const reason = unsupportedReason(facts)
  const served = new Set(reason === undefined ? servableOutputs(facts) : [])
  const report: Report = { path, size: (await stat(path)).size, facts, served, reason }
  return json ? renderJson(report) : renderTable(report)
}

// ---------------------------------------------------------------- JSON

function renderJson({ path, size, facts, served, reason }: Report): string {
  const value = ({ name, type, declaredType, dims, doc }: ValueInfo) => ({
    name,
    type: type ?? null,
    declaredType,
    shape: dims ?? null,
    doc: doc ?? '',
  })
  const object = {
    file: path,
    size,
    servable: reason === undefined,
    reason: reason ?? null,
    irVersion: facts.irVersion,
    opsets: facts.opsets,
    producer: facts.producer,
    producerVersion: facts.producerVersion,
    domain: facts.domain,
    modelVersion: facts.modelVersion,
    doc: facts.doc,
    graph: facts.graphName,
    inputs: facts.inputs.map(value),
    outputs: facts.outputs.map((output) => ({ ...value(output), served: served.has(output) })),
    nodes: facts.nodeCount,
    operators: facts.operators,
    initializers: facts.initializerCount,
    initializerBytes: facts.initializerBytes,
    externalData: facts.externalData,
    metadata: facts.metadata,
  }
  return JSON.stringify(object, null, 2).replace(RAW_IN_JSON, escapeUnits)
}

const escapeUnits = (char: string): string =>
  char
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('')

// ---------------------------------------------------------------- table

function renderTable(report: Report): string {
  const { path, size, facts, reason } = report
  const header: Row[] = [
    ['file', safe(path)],
    ['size', bytes(size)],
    ['IR version', String(facts.irVersion)],
    ['opsets', Object.entries(facts.opsets).map(pair).join(', ') || 'none'],
    ['producer', safe(`${facts.producer} ${facts.producerVersion}`.trim()) || 'unknown'],
    ['graph', `${safe(facts.graphName) || 'unnamed'}, ${count(facts.nodeCount, 'node')}`],
    ['weights', `${count(facts.initializerCount, 'initializer')}, ${bytes(facts.initializerBytes)} in the file`],
    ['operators', operators(facts.operators)],
    ['external data', facts.externalData.map(safe).join(', ') || 'none'],
    ...(facts.doc === '' ? [] : [['doc', safe(facts.doc)]]),
  ]
  return [
    ...aligned(header),
    ...section('inputs', facts.inputs.map(valueRow)),
    ...section(
      'outputs',
      facts.outputs.map((output) => outputRow(output, report)),
    ),
    ...section(
      'metadata',
      Object.entries(facts.metadata).map(([key, text]) => [safe(key), safe(text)]),
    ),
    '',
    reason === undefined ? 'servable: yes' : `servable: no, ${reason}`,
  ].join('\n')
}

const valueRow = ({ name, declaredType, dims, doc }: ValueInfo): Row => [
  safe(name),
  safe(declaredType),
  shape(dims),
  safe(doc ?? ''),
]

function outputRow(output: ValueInfo, { served, reason }: Report): Row {
  const row = valueRow(output)
  return reason === undefined && !served.has(output) ? [...row, '(left out: not a tensor)'] : row
}

/** `?` is a dimension, or a whole shape, that the file leaves open. */
function shape(dims: ValueInfo['dims']): string {
  if (dims === undefined) return '?'
  return `[${dims.map((dim) => (dim === null ? '?' : typeof dim === 'string' ? safe(dim) : String(dim))).join(', ')}]`
}

function section(title: string, rows: readonly Row[]): string[] {
  return ['', title, ...aligned(rows.length === 0 ? [['none']] : rows).map((line) => `  ${line}`)]
}

/** Left-aligned columns, two spaces apart. */
function aligned(rows: readonly Row[]): string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length)
  }
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

function operators(ids: readonly string[]): string {
  const list = ids.map((id) => printable(id.startsWith('ai.onnx:') ? id.slice('ai.onnx:'.length) : id))
  return ids.length === 0 ? 'none' : `${ids.length}: ${list.join(', ')}`
}

const pair = ([domain, version]: [string, number]): string => `${safe(domain)} ${version}`
const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`

function bytes(n: number): string {
  if (n < 1000) return count(n, 'byte')
  const power = Math.min(Math.floor(Math.log10(n) / 3), UNITS.length)
  return `${(n / 1000 ** power).toFixed(1)} ${UNITS[power - 1] ?? ''}`
}

/** One line, no control characters, not endless. */
function safe(text: string): string {
  const line = printable(text)
  return line.length <= MAX_TEXT_CHARS ? line : `${line.slice(0, MAX_TEXT_CHARS)}…`
}

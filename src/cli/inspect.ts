/** Prints the inputs and outputs of an ONNX file, for people and for scripts. Text of the file never reaches the terminal unescaped. */

import { stat } from 'node:fs/promises'
import { printable } from '../core/host/printable.ts'
import { type Edited, editOnnx, isOpen, readOnnx } from '../core/onnx/index.ts'
import type { OnnxModelFacts } from '../core/onnx/types.ts'
import type { ValueInfo } from '../core/tensor/types.ts'
import { type Command, parse, UsageError } from './command.ts'
import { print } from './output.ts'
import { aligned, bytes, count, type Row, safe, section, textOf, toJson } from './report.ts'
import { inspectSecurity } from './security.ts'

export const inspectCommand: Command = {
  usage: `  modelmount inspect FILE [--security] [--json]
      Prints what a model file takes and gives, and what of its graph is edited to serve it, without running it;
      with --security what in the file no honest model has.
      Exit code of --security: 0 nothing found, 1 something found, or the file cannot be read.`,
  async run(argv) {
    const flag = { type: 'boolean', default: false } as const
    const { values, positionals } = parse(argv, { json: flag, security: flag })
    const [file, ...more] = positionals
    if (file === undefined || more.length > 0) throw new UsageError('inspect takes one FILE')
    const { text, isClean } = values.security
      ? await inspectSecurity(file, { json: values.json })
      : { text: await inspect(file, { json: values.json }), isClean: true }
    print(...text.trimEnd().split('\n'))
    return isClean ? 0 : 1
  },
}

interface Report {
  readonly path: string
  readonly size: number
  /** Of the unchanged file. */
  readonly facts: OnnxModelFacts
  readonly edited: Edited
}

/**
 * Describes a model file without running it.
 * @param path an `.onnx` file
 * @param opts.json one JSON object with fixed keys instead of a table
 * @throws ModelmountError as `readOnnx` does
 */
export async function inspect(path: string, { json }: { readonly json: boolean }): Promise<string> {
  const facts = await readOnnx(path)
  const edited = await editOnnx(path, facts)
  const report: Report = { path, size: (await stat(path)).size, facts, edited }
  return json ? renderJson(report) : renderTable(report)
}

// ---------------------------------------------------------------- JSON

function renderJson({ path, size, facts, edited }: Report): string {
  const { refusal, edits } = edited
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
    servable: refusal === undefined,
    reason: refusal ?? null,
    edits: refusal === undefined ? edits : [],
    irVersion: facts.irVersion,
    opsets: facts.opsets,
    producer: facts.producer,
    producerVersion: facts.producerVersion,
    domain: facts.domain,
    modelVersion: facts.modelVersion,
    doc: facts.doc,
    graph: facts.graphName,
    inputs: facts.inputs.map(value),
    outputs: facts.outputs.map((output) => outputOf(output, edited)),
    nodes: facts.nodeCount,
    operators: facts.operators,
    initializers: facts.initializerCount,
    initializerBytes: facts.initializerBytes,
    externalData: facts.externalData,
    metadata: facts.metadata,
  }
  return toJson(object)

  function outputOf(output: ValueInfo, { facts, labels, leftOut }: Edited) {
    const served = refusal === undefined ? facts.outputs.find(({ name }) => name === output.name) : undefined
    const left = leftOut.find(({ name }) => name === output.name)
    return {
      ...value(output),
      served: served !== undefined && left === undefined,
      servedAs: served && !left ? { type: served.type ?? null, shape: served.dims ?? null } : null,
      labels: labels[output.name] ?? null,
      reason: left?.reason ?? null,
    }
  }
}

// ---------------------------------------------------------------- table

function renderTable(report: Report): string {
  const { path, size, facts, edited } = report
  const { refusal, edits } = edited
  const changes = refusal === undefined ? edits.map(({ edit, target, detail }): Row => [edit, safe(target), safe(detail)]) : []
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
  return textOf([
    ...aligned(header),
    ...section('inputs', facts.inputs.map(valueRow)),
    ...section(
      'outputs',
      facts.outputs.map((output) => outputRow(output, edited)),
    ),
    ...(changes.length > 0 ? section('edits', changes) : []),
    ...section(
      'metadata',
      Object.entries(facts.metadata).map(([key, text]) => [safe(key), safe(text)]),
    ),
    '',
    refusal === undefined ? 'servable: yes' : `servable: no, ${refusal}`,
  ])
}

const valueRow = ({ name, declaredType, dims, doc }: ValueInfo): Row => [
  safe(name),
  safe(declaredType),
  shape(dims),
  safe(doc ?? ''),
]

function outputRow(output: ValueInfo, { facts, leftOut, labels, refusal }: Edited): Row {
  const row = valueRow(output)
  if (refusal !== undefined) return row
  const left = leftOut.find(({ name }) => name === output.name)
  if (left) return [...row, `(left out: ${safe(left.reason)})`]
  const served = facts.outputs.find(({ name }) => name === output.name)
  if (!served || served.declaredType === output.declaredType)
    return isOpen(output) ? [...row, '(its type is known once it is loaded)'] : row
  const classes = labels[output.name]
  const of = classes === undefined ? '' : `, classes: ${classes.length}`
  return [...row, `(served as ${served.declaredType} ${shape(served.dims)}${of})`]
}

/** `?` is a dimension, or a whole shape, that the file leaves open. */
function shape(dims: ValueInfo['dims']): string {
  if (dims === undefined) return '?'
  return `[${dims.map((dim) => (dim === null ? '?' : typeof dim === 'string' ? safe(dim) : String(dim))).join(', ')}]`
}

function operators(ids: readonly string[]): string {
  const list = ids.map((id) => printable(id.startsWith('ai.onnx:') ? id.slice('ai.onnx:'.length) : id))
  return ids.length === 0 ? 'none' : `${ids.length}: ${list.join(', ')}`
}

const pair = ([domain, version]: [string, number]): string => `${safe(domain)} ${version}`

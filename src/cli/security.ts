/** Prints the findings of a scan of a model's file, for people and for scripts, without running it. */

import { stat } from 'node:fs/promises'
import { isModelmountError } from '../core/errors.ts'
import { findHazard, type Scan, type ScanFinding, scanOnnx } from '../core/onnx/index.ts'
import { aligned, bytes, count, type Row, safe, section, textOf, toJson } from './report.ts'

interface Report {
  readonly path: string
  readonly size: number
  /** Undefined for a file that is no ONNX model. */
  readonly scan: Scan | undefined
  readonly findings: readonly ScanFinding[]
  readonly more: number
}

/**
 * @param path an `.onnx` file
 * @throws ModelmountError `MODEL_LOAD_FAILED` if it cannot be read; a file that is no model is a finding
 */
export async function inspectSecurity(
  path: string,
  { json }: { readonly json: boolean },
): Promise<{ readonly text: string; readonly isClean: boolean }> {
  const report = await reportOn(path)
  return { text: json ? renderJson(report) : renderTable(report), isClean: report.findings.length === 0 }
}

async function reportOn(path: string): Promise<Report> {
  try {
    const scan = await scanOnnx(path)
    const hazard = await findHazard(path, scan.facts)
    const message = `${hazard}, which can end the process that runs it; such a model runs with isolation: 'process' unless told otherwise`
    const findings =
      hazard === undefined ? scan.findings : [...scan.findings, { id: 'request-values', where: '', message } as const]
    return { path, size: (await stat(path)).size, scan, findings, more: scan.more }
  } catch (error) {
    if (!isModelmountError(error) || error.code === 'MODEL_LOAD_FAILED') throw error
    const id = error.details?.format === 'ort' ? 'ort-format' : 'malformed'
    const size = (await stat(path).catch(() => undefined))?.size ?? 0
    return { path, size, scan: undefined, findings: [{ id, where: '', message: error.message }], more: 0 }
  }
}

function renderJson({ path, size, scan, findings, more }: Report): string {
  const facts = scan?.facts
  return toJson({
    file: path,
    size,
    clean: findings.length === 0,
    findings,
    moreFindings: more,
    irVersion: facts?.irVersion ?? null,
    opsets: facts?.opsets ?? null,
    domains: facts ? domainsOf(facts.operators) : null,
    nodes: facts?.nodeCount ?? null,
    initializers: facts?.initializerCount ?? null,
    initializerBytes: facts?.initializerBytes ?? null,
    externalFiles: scan?.externalFiles.map(({ location, bytes }) => ({ location, bytes: bytes ?? null })) ?? null,
  })
}

const domainsOf = (operators: readonly string[]): string[] => [...new Set(operators.map((id) => id.slice(0, id.indexOf(':'))))]

function renderTable({ path, size, scan, findings, more }: Report): string {
  const header: Row[] = [['file', safe(path)], ['size', bytes(size)], ...(scan ? describe(scan) : [])]
  const rows = findings.map(({ id, where, message }) => [id, safe(where) || '-', safe(message)])
  const all = findings.length + more
  return textOf([
    ...aligned(header),
    ...section('findings', more === 0 ? rows : [...rows, [`and ${more} more`]]),
    '',
    all === 0 ? 'clean: yes' : `clean: no, ${count(all, 'finding')}`,
  ])
}

const describe = ({ facts, externalFiles }: Scan): Row[] => [
  ['IR version', String(facts.irVersion)],
  [
    'opsets',
    Object.entries(facts.opsets)
      .map(([domain, version]) => `${safe(domain)} ${version}`)
      .join(', ') || 'none',
  ],
  ['operators of', domainsOf(facts.operators).map(safe).join(', ') || 'none'],
  ['graph', `${count(facts.nodeCount, 'node')}, ${count(facts.initializerCount, 'initializer')}`],
  ['weights', `${bytes(facts.initializerBytes)} in the file`],
  [
    'external data',
    externalFiles
      .map(({ location, bytes: size }) => `${safe(location)} (${size === undefined ? '?' : bytes(size)})`)
      .join(', ') || 'none',
  ],
]

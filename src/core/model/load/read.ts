/** Reads a model before anything runs it, and refuses what ONNX Runtime must not be given. */

import { ModelmountError } from '../../errors.ts'
import { type Edited, editOnnx, type Scan, type ScanFinding, scanOnnx, unsupportedReason } from '../../onnx/index.ts'
import type { OnnxModelFacts } from '../../onnx/types.ts'
import type { ModelConfig } from '../../options/index.ts'
import type { ModelInfo } from '../types.ts'
import type { Files } from './admit.ts'
import type { LoadContext } from './context.ts'
import { dataFilesOf, readFacts, unreachableData } from './files.ts'

/** A version whose graph was read. */
export interface Graph extends Files {
  /** As it is loaded; `undefined` for `.ort` files. */
  readonly edited: Edited | undefined
}

export async function read(files: Files, { known, deps, times, learn }: LoadContext): Promise<Graph> {
  const { config } = known()
  const { admitted, content } = files
  const { source, data } = admitted
  const { allowOrtFormat } = config
  const areOurs = admitted.integrity !== undefined
  const found = await times.time('read', readModel({ source, data, allowOrtFormat, scan: deps.scan, areOurs }))
  const edited = found?.edited
  learn({ facts: edited?.facts, edits: edited?.edits ?? [], labels: labelsOf(edited, config) })
  // All of them make its id, also those that an edit leaves out.
  if (typeof source === 'string') await content.begin(dataFilesOf(source, found?.facts))
  return { ...files, edited }
}

/** The settings' own come first. */
function labelsOf(edited: Edited | undefined, { labels }: ModelConfig): ModelInfo['labels'] {
  const all = { ...edited?.labels, ...labels }
  return Object.keys(all).length > 0 ? all : undefined
}

interface ReadRequest {
  readonly source: string | Uint8Array
  /** Files that it keeps weights in, where they are in memory. */
  readonly data: ReadonlyMap<string, Uint8Array>
  readonly allowOrtFormat: boolean
  /** Whether to look for what no honest model has. */
  readonly scan: boolean
  /** Whether the files are the server's own copies. */
  readonly areOurs: boolean
}

/** The facts of a file, and its graph as it is loaded. */
export interface ReadModel {
  readonly facts: OnnxModelFacts
  readonly edited: Edited
}

/**
 * Not a byte of the file gets into ONNX Runtime. One pass over it, and a few more where its graph has to be edited.
 * @returns `undefined` for `.ort` files, whose inside is not known
 * @throws ModelmountError `MODEL_UNSUPPORTED` with `details.findings`; `MODEL_INVALID`; `MODEL_LOAD_FAILED`, also when a file that it keeps
 *   weights in is missing
 */
export async function readModel(request: ReadRequest): Promise<ReadModel | undefined> {
  const { source, data, allowOrtFormat, areOurs } = request
  if (!request.scan || (allowOrtFormat && typeof source === 'string' && source.endsWith('.ort'))) {
    const facts = await readFacts(source, allowOrtFormat)
    if (!facts) return undefined
    const edited = await editOnnx(source, facts)
    const reason = reasonAgainst(request, facts, edited)
    if (reason) throw new ModelmountError('MODEL_UNSUPPORTED', reason)
    return { facts, edited }
  }
  const sizes = new Map([...data].map(([name, { byteLength }]) => [name, byteLength]))
  const scan = await scanOnnx(source, { areOurs, data: sizes })
  const { facts } = scan
  // Only an honest graph is worth editing.
  if (scan.findings.some(({ id }) => id !== 'external-missing'))
    throw refusalOf(scan, unsupportedReason(facts) ?? unreachableData(source, data, facts))
  const edited = await editOnnx(source, facts)
  const reason = reasonAgainst(request, facts, edited)
  if (reason !== undefined || scan.findings.length > 0) throw refusalOf(scan, reason)
  return { facts, edited }
}

const reasonAgainst = ({ source, data }: ReadRequest, facts: OnnxModelFacts, { refusal }: Edited): string | undefined =>
  refusal ?? unreachableData(source, data, facts)

function refusalOf({ findings, more }: Scan, reason: string | undefined): ModelmountError {
  const [first] = findings
  const message = reason ?? (first ? sentence(first, findings.length + more - 1) : '')
  const details = findings.length === 0 ? undefined : { findings, more }
  // A file that was not copied along is no attack.
  const isMissing = reason === undefined && findings.every(({ id }) => id === 'external-missing')
  return new ModelmountError(isMissing ? 'MODEL_LOAD_FAILED' : 'MODEL_UNSUPPORTED', message, { ...(details ? { details } : {}) })
}

const sentence = ({ where, message }: ScanFinding, others: number): string =>
  `${where === '' ? '' : `${where}: `}${message}${others === 0 ? '' : ` (and ${others} more; modelmount inspect --security lists them)`}`

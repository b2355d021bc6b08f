/** Reading an ONNX file without running it, and without holding its weights in memory. */

import { type ErrorDetails, ModelmountError } from '../errors.ts'
import type { ModelSignature } from '../tensor/types.ts'
import { type Edited, edit } from './edits/index.ts'
import { findHazard as judgeValues, needsJudging } from './hazards.ts'
import { Malformed } from './malformed.ts'
import { readModel } from './model.ts'
import { type Nodes, readNodes } from './nodes.ts'
import { followRows } from './rows.ts'
import { checkFiles, type ExternalFile, sizesInMemory, sizesOnDisk } from './scan/files.ts'
import type { ScanFinding } from './scan/findings.ts'
import { createWatch, type Watch } from './scan/watch.ts'
import { isOrtFormat, lookalike, SNIFF_BYTES } from './sniff.ts'
import { bytesSource, fileSource, type Source, splicedSource } from './source.ts'
import { NO_PATCH, type Patch } from './splice.ts'
import { LOWERED_IR_VERSION, operatorReason, VENDOR_BINARY } from './support.ts'
import type { OnnxModelFacts } from './types.ts'
import { findSizedByValues, needsSizing, unboundedByName } from './unbounded.ts'
import { createReader, drive } from './wire.ts'

export type { Edited } from './edits/index.ts'
export { leftOut } from './left-out.ts'
export { isRandom } from './mixing.ts'
export type { ExternalFile } from './scan/files.ts'
export type { ScanFinding, ScanFindingId } from './scan/findings.ts'
export { isOpen, MAX_OPSET, servableOutputs, unsupportedReason } from './support.ts'

/** A protobuf message is never longer; ONNX Runtime cannot read a longer one. */
const MAX_FILE_BYTES = 2 ** 31 - 1

export interface ScanOptions {
  /** Its files are our own copies, or a trusted signer has signed them: another name for one of them does no harm. @default false */
  readonly areOurs?: boolean
  /** Sizes of the files that come with a model given as bytes, by name. @default none */
  readonly data?: ReadonlyMap<string, number>
}

export interface Scan {
  readonly facts: OnnxModelFacts
  /** The objections; empty for an honest model. */
  readonly findings: readonly ScanFinding[]
  /** How many more there are than listed. */
  readonly more: number
  readonly externalFiles: readonly ExternalFile[]
}

/**
 * Reads the header, the signature and the operators of a model. Memory stays small whatever the size of the weights,
 * and the event loop turns between reads of 64 KiB.
 * @param source path of a regular file, or the bytes of one
 * @throws ModelmountError `MODEL_INVALID` if it is empty, damaged or no ONNX model; `MODEL_LOAD_FAILED` if the file cannot be read;
 *   `MODEL_UNSUPPORTED` with `details.format: 'ort'` for ONNX Runtime's own format
 */
export async function readOnnx(source: string | Uint8Array): Promise<OnnxModelFacts> {
  return (await walk(source)).facts
}

/**
 * The graph of a file as it is loaded, with the edits that serving requires. Reads the file again if it needs any.
 * @param facts of the file, as {@link readOnnx} reads them
 * @throws ModelmountError `MODEL_LOAD_FAILED` if the file cannot be read again
 */
export async function editOnnx(source: string | Uint8Array, facts: OnnxModelFacts): Promise<Edited> {
  const from = await open(source)
  try {
    return await edit(from, facts, async (patch) => {
      const edited = splicedSource(from, patch)
      const reader = createReader(edited.size)
      return drive(reader, edited, readModel(reader, createWatch()))
    })
  } finally {
    await from.close()
  }
}

const open = async (source: string | Uint8Array): Promise<Source> =>
  typeof source === 'string' ? fileSource(source) : bytesSource(source)

/**
 * Reads a model as {@link readOnnx} does, and reports contents that no honest model has. It takes one pass.
 * Of files with weights it looks only at names, kinds and sizes.
 * @throws ModelmountError as `readOnnx` does
 */
export async function scanOnnx(source: string | Uint8Array, opts: ScanOptions = {}): Promise<Scan> {
  const { facts, watch, size } = await walk(source)
  const { findings, references } = watch
  if (size > MAX_FILE_BYTES)
    findings.add('file-bytes', '', `the file has ${size} bytes, and protobuf reads no more than ${MAX_FILE_BYTES}`)
  const { irVersion } = facts
  if (irVersion < 1 || irVersion > LOWERED_IR_VERSION)
    findings.add('ir-version', 'ir_version', `IR version ${irVersion} is used, and no more than ${LOWERED_IR_VERSION} is known`)
  const operator = operatorReason(facts)
  // Already noted at its place.
  if (operator && !facts.operators.includes(VENDOR_BINARY)) findings.add('operator', '', operator)
  const sizeOf = typeof source === 'string' ? sizesOnDisk(source, opts.areOurs === true) : sizesInMemory(opts.data ?? new Map())
  const externalFiles = await checkFiles(references.all, sizeOf, findings)
  return { facts, findings: findings.list, more: findings.more, externalFiles }
}

/**
 * An operator that certainly lets the rows of a request influence each other, as a sentence. Graphs beyond analysis give none.
 * @param source path of a regular file, or the bytes of one, that `readOnnx` has read
 * @param rows by input name, the dimension that counts rows; none for inputs that all rows share
 * @param patch of its edits
 */
export async function findMixing(
  source: string | Uint8Array,
  inputs: ModelSignature['inputs'],
  rows: Readonly<Record<string, number>>,
  patch: Patch = NO_PATCH,
): Promise<string | undefined> {
  try {
    return followRows(await nodesOf(source, patch), inputs, rows).mixing
  } catch {
    // Too many names to keep, or the file has gone: the model still serves, and a trial run judges it.
    return undefined
  }
}

/**
 * An operator that can end its process by the values of a request, as a sentence.
 * @param source path of a regular file, or the bytes of one, that `readOnnx` has read
 * @param patch of its edits, after which `facts` were read
 */
export async function findHazard(
  source: string | Uint8Array,
  facts: OnnxModelFacts,
  patch: Patch = NO_PATCH,
): Promise<string | undefined> {
  if (!needsJudging(facts.operators)) return undefined
  try {
    return judgeValues(await nodesOf(source, patch))
  } catch (error) {
    return `its values cannot be judged: ${error instanceof Malformed ? error.message : 'the file could not be read again'}`
  }
}

/**
 * Why nothing can promise how long a run of the model takes, as a sentence; `undefined` where the shapes of a request decide that.
 * @param source path of a regular file, or the bytes of one, that `readOnnx` has read
 * @param patch of its edits, after which `facts` were read
 */
export async function findUnbounded(
  source: string | Uint8Array,
  { operators }: Pick<OnnxModelFacts, 'operators'>,
  patch: Patch = NO_PATCH,
): Promise<string | undefined> {
  const found = unboundedByName(operators)
  if (found !== undefined || !needsSizing(operators)) return found
  try {
    return findSizedByValues(await nodesOf(source, patch))
  } catch {
    return 'its values cannot be followed'
  }
}

async function nodesOf(source: string | Uint8Array, patch: Patch): Promise<Nodes> {
  const from = splicedSource(await open(source), patch)
  try {
    const reader = createReader(from.size)
    return await drive(reader, from, readNodes(reader))
  } finally {
    await from.close()
  }
}

interface Walk {
  readonly facts: OnnxModelFacts
  readonly watch: Watch
  readonly size: number
}

async function walk(source: string | Uint8Array): Promise<Walk> {
  if (typeof source !== 'string') return walkThrough(bytesSource(source), 'the model', { field: 'source' })
  const file = await fileSource(source)
  try {
    return await walkThrough(file, `model file ${JSON.stringify(source)}`, { field: 'source', path: source })
  } finally {
    await file.close()
  }
}

async function walkThrough(source: Source, label: string, details: ErrorDetails): Promise<Walk> {
  if (source.size === 0) throw new ModelmountError('MODEL_INVALID', `${label} is empty`, { details })
  // a copy, because the source may reuse its buffer
  const head = (await source.read(0, SNIFF_BYTES)).slice()
  if (isOrtFormat(head)) {
    const message = `${label} is in the .ort format, which needs allowOrtFormat: true`
    throw new ModelmountError('MODEL_UNSUPPORTED', message, { details: { ...details, format: 'ort' } })
  }
  const reader = createReader(source.size)
  const watch = createWatch()
  try {
    return { facts: await drive(reader, source, readModel(reader, watch)), watch, size: source.size }
  } catch (cause) {
    if (!(cause instanceof Malformed)) throw cause
    const found = lookalike(head)
    const reason = found === undefined ? cause.message : `it looks like ${found}`
    throw new ModelmountError('MODEL_INVALID', `${label} is not a valid ONNX model: ${reason}`, { details, cause })
  }
}

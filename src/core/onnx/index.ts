/** Reading an ONNX file without running it, and without holding its weights in memory. */

import { type ErrorDetails, ModelmountError } from '../errors.ts'
import type { ModelSignature, OnnxModelFacts } from '../types.ts'
import { Malformed } from './malformed.ts'
import { readModel } from './model.ts'
import { readNodes } from './nodes.ts'
import { followRows } from './rows.ts'
import { isOrtFormat, lookalike, SNIFF_BYTES } from './sniff.ts'
import { bytesSource, fileSource, type Source } from './source.ts'
import { createReader, drive } from './wire.ts'

export { MAX_OPSET, servableOutputs, unsupportedReason } from './support.ts'

/**
 * Reads the header, the signature and the operators of a model. Memory stays small whatever the size of the weights, and the
 * event loop turns between reads of 64 KiB.
 * @param source path of a regular file, or the bytes of one
 * @throws ModelmountError `MODEL_INVALID` when it is empty, damaged or no ONNX model; `MODEL_LOAD_FAILED` when the file cannot be read;
 *   `MODEL_UNSUPPORTED` with `details.format: 'ort'` for ONNX Runtime's own format
 */
export async function readOnnx(source: string | Uint8Array): Promise<OnnxModelFacts> {
  if (typeof source !== 'string') return readFrom(bytesSource(source), 'the model', { field: 'source' })
  const file = await fileSource(source)
  try {
    return await readFrom(file, `model file ${JSON.stringify(source)}`, { field: 'source', path: source })
  } finally {
    await file.close()
  }
}

/**
 * An operator that certainly lets the rows of a request influence each other, as a sentence. Says nothing of what it cannot follow or read.
 * @param source path of a regular file, or the bytes of one, that `readOnnx` has read
 * @param rows by input name, the dimension that counts rows; none for inputs that all rows share
 */
export async function findMixing(
  source: string | Uint8Array,
  inputs: ModelSignature['inputs'],
  rows: Readonly<Record<string, number>>,
): Promise<string | undefined> {
  try {
    const from = typeof source === 'string' ? await fileSource(source) : bytesSource(source)
    try {
      const reader = createReader(from.size)
      return followRows(await drive(reader, from, readNodes(reader)), inputs, rows).mixing
    } finally {
      await from.close()
    }
  } catch {
    // Too many names to keep, or the file has gone: the model serves, and is judged by trying it.
    return undefined
  }
}

async function readFrom(source: Source, label: string, details: ErrorDetails): Promise<OnnxModelFacts> {
  if (source.size === 0) throw new ModelmountError('MODEL_INVALID', `${label} is empty`, { details })
  // a copy, because the source may reuse its buffer
  const head = (await source.read(0, SNIFF_BYTES)).slice()
  if (isOrtFormat(head)) {
    const message = `${label} is in the .ort format, which needs allowOrtFormat: true`
    throw new ModelmountError('MODEL_UNSUPPORTED', message, { details: { ...details, format: 'ort' } })
  }
  const reader = createReader(source.size)
  try {
    return await drive(reader, source, readModel(reader))
  } catch (cause) {
    if (!(cause instanceof Malformed)) throw cause
    const found = lookalike(head)
    const reason = found === undefined ? cause.message : `it looks like ${found}`
    throw new ModelmountError('MODEL_INVALID', `${label} is not a valid ONNX model: ${reason}`, { details, cause })
  }
}

/** The key of a derived model: its source bytes, ONNX Runtime, the machine's instruction set and the session's options. */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { onnxRuntimeVersion } from '../../host/packages.ts'
import type { Patch } from '../../onnx/splice.ts'
import type { OrtSessionOptions } from '../session-options.ts'

/**
 * The part of the key that is known without reading the model. An entry's name starts with it, so that a model which was never derived
 * costs no hashing before it starts.
 */
export function outerKey(session: OrtSessionOptions, sizes: readonly number[]): string {
  // The derived model is tried before use, so an unknown version can cost speed, not answers.
  // Weights are packed alike for any number of threads, which changes with the granted CPUs and the other loaded models.
  const { intraOpNumThreads: _, ...options } = session
  return hash(16, [onnxRuntimeVersion() || 'unknown', process.platform, process.arch, cpuFeatures(), options, sizes])
}

/** @param patch of the model's edits, which are part of the derived model */
export const entryName = (outer: string, digests: readonly string[], patch: Patch): string =>
  `${outer}-${hash(32, patch.length === 0 ? digests : [...digests, patchKey(patch)])}`

/** The same for equal patches. */
export const patchKey = (patch: Patch): string =>
  hash(
    32,
    patch.map(({ at, end, bytes }) => [at, end, Buffer.from(bytes).toString('base64')]),
  )

const hash = (length: number, value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, length)

let features: string | undefined

/** ONNX Runtime picks kernels, and with them the layout of packed weights, by the CPU's features. */
export function cpuFeatures(): string {
  features ??= readCpuFeatures()
  return features
}

function readCpuFeatures(): string {
  const model = cpus()[0]?.model ?? ''
  try {
    const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'latin1'))?.[1] ?? ''
    return `${model} ${flags.trim()}`
  } catch {
    return model
  }
}

/** The name of a proof: all that its findings depend on. */

import { createHash } from 'node:crypto'

/** Counts up when the same model, on the same machine, would be judged differently. */
const PROVER = 1

/** Equal keys would lead to equal findings. Parts are in the clear where a person may want to know which one differs. */
export interface ProofKey {
  /** Version of the prover. */
  readonly prover: string
  /** Version of ONNX Runtime. */
  readonly runtime: string
  readonly cpu: string
  /** SHA-256 over all files of the model, `sha256:…`. */
  readonly model: string
  /** Where it runs. */
  readonly tier: string
  /** Digest of the options that bear on it: of the session, of batching, of inputs and outputs, and the given samples. */
  readonly options: string
}

export const KEY_PARTS = ['prover', 'runtime', 'cpu', 'model', 'tier', 'options'] as const satisfies readonly (keyof ProofKey)[]

export const proverOf = (version: string): string => `${version}/${PROVER}`

/** Equal for equal values. */
export const digestOf = (value: string | Uint8Array): string => createHash('sha256').update(value).digest('hex')

/** The name of its file. */
export const nameOf = (key: ProofKey): string => `${digestOf(JSON.stringify(listed(key))).slice(0, 40)}.json`

/** In one order. */
export const listed = (key: ProofKey): readonly string[] => KEY_PARTS.map((part) => key[part])

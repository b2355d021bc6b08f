/** Versions, and the files of a model repository. */

export type { VersionPolicy } from './options.ts'

/** Something in a model's `model.json` or `config.pbtxt` that is not honoured as written, and why. */
export interface ConfigNote {
  readonly file: string
  /** Path of the field, for example `dynamic_batching.preferred_batch_size`. */
  readonly field: string
  readonly reason: string
}

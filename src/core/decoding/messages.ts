/** Messages between the host and the decoding thread: one job at a time. */

import type { ErrorCode, ErrorDetails } from '../errors.ts'
import type { ModelSignature } from '../tensor/types.ts'
import type { JobOptions } from './jobs.ts'
import type { Parcel } from './parcel.ts'

export interface Ask {
  /** The name of a decoder. */
  readonly kind: string
  /** The body, in one piece or several, whose buffers are transferred. */
  readonly pieces: readonly Uint8Array[]
  readonly signature: ModelSignature
  readonly opts: JobOptions
}

/** Errors lose their class on the way. */
export type Answer =
  | { readonly kind: 'decoded'; readonly parcel: Parcel }
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly message: string; readonly details: ErrorDetails | undefined }
  | { readonly kind: 'failed'; readonly reason: string }

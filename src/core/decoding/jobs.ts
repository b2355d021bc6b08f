/** What can be decoded: one table for the host's thread and the decoding thread, so that both do the same and say the same. */

import {
  decodeGenerate,
  decodeInfer,
  decodeInvocation,
  decodeTfPredict,
  type GenerateRequest,
  type InferRequest,
  type InvocationRequest,
  type Room,
  type TfPredictRequest,
} from '../protocol/index.ts'
import type { ModelSignature } from '../types.ts'

/** What each kind of body becomes. */
export interface Decoded {
  readonly infer: InferRequest
  readonly generate: GenerateRequest
  readonly tfPredict: TfPredictRequest
  readonly invocation: InvocationRequest
}

export type Kind = keyof Decoded

export interface JobOptions {
  /** Largest number of elements of one input. */
  readonly maxElements: number
  /** Of an infer request: bytes of JSON before its tensors. */
  readonly headerLength?: number | undefined
  /** Of an invocation. @default 'json' */
  readonly mediaType?: 'json' | 'csv'
}

/** What only the host's thread has. */
interface HostOptions extends JobOptions {
  readonly rest?: readonly Uint8Array[] | undefined
  readonly room?: Room | undefined
}

type Decoders = { readonly [K in Kind]: (body: unknown, signature: ModelSignature, opts: HostOptions) => Decoded[K] }

export const DECODERS: Decoders = {
  infer: decodeInfer,
  generate: decodeGenerate,
  tfPredict: decodeTfPredict,
  invocation: (body, signature, opts) => decodeInvocation(body, opts.mediaType ?? 'json', signature, opts),
}

/** What can be decoded: one table for the host's thread and the decoding thread, so that both do the same and say the same. */

import { ModelmountError } from '../errors.ts'
import {
  decodeGenerate,
  decodeInfer,
  decodeInvocation,
  decodeTfPredict,
  type GenerateRequest,
  type InferRequest,
  type InvocationRequest,
  MOST_STRINGS,
  type Room,
  type TfPredictRequest,
} from '../protocol/index.ts'
import type { ModelSignature, Tensor } from '../types.ts'

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
  infer: (...args) => fewStrings(decodeInfer(...args)),
  generate: (...args) => fewStrings(decodeGenerate(...args)),
  tfPredict: (...args) => fewStrings(decodeTfPredict(...args)),
  invocation: (body, signature, opts) => fewStrings(decodeInvocation(body, opts.mediaType ?? 'json', signature, opts)),
}

/** All strings of a request go on to the worker of a model at once, whatever they came in: JSON, binary data, or a table. */
function fewStrings<T extends { readonly inputs: Readonly<Record<string, Tensor>> }>(request: T): T {
  let strings = 0
  for (const name in request.inputs) {
    const { type, data } = request.inputs[name] as Tensor
    if (type === 'string') strings += data.length
  }
  if (strings <= MOST_STRINGS) return request
  const expected = `at most ${MOST_STRINGS} strings`
  throw new ModelmountError('REQUEST_INVALID', `the inputs of one request must have ${expected}, got ${strings}`, {
    details: { field: 'inputs', expected, got: `${strings}` },
  })
}

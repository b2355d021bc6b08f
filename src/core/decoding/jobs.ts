/** The kinds of bodies: one table for the host's thread and the decoding thread, so that both do and say the same. */

import { type Copies, MOST_STRINGS, type Room } from '../dialects/codec/index.ts'
import {
  decodeGenerate,
  decodeInfer,
  decodeInvocation,
  decodeTfPredict,
  type GenerateRequest,
  type InferRequest,
  type InvocationRequest,
  type TfPredictRequest,
} from '../dialects/index.ts'
import { ModelmountError } from '../errors.ts'
import type { ModelSignature, Tensor } from '../tensor/types.ts'

/** The result of each kind of body. */
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
  /** Most bytes of UTF-8 in all strings together, in any encoding of the request. */
  readonly maxTextBytes: number
  /** Of an invocation. @default 'json' */
  readonly mediaType?: 'json' | 'csv' | undefined
}

/** Known on the host's thread only. */
interface HostOptions extends JobOptions {
  readonly rest?: readonly Uint8Array[] | undefined
  readonly room?: Room | undefined
  readonly copies?: Copies | undefined
}

type Decoders = { readonly [K in Kind]: (body: unknown, signature: ModelSignature, opts: HostOptions) => Decoded[K] }

export const DECODERS: Decoders = {
  infer: (body, signature, opts) => boundText(decodeInfer(body, signature, opts), signature, opts),
  generate: (body, signature, opts) => boundText(decodeGenerate(body, signature, opts), signature, opts),
  tfPredict: (body, signature, opts) => boundText(decodeTfPredict(body, signature, opts), signature, opts),
  invocation: (body, signature, opts) =>
    boundText(decodeInvocation(body, opts.mediaType ?? 'json', signature, opts), signature, opts),
}

interface WithInputs {
  readonly inputs: Readonly<Record<string, Tensor>>
}

/** All strings of a request go on to the worker of a model at once, in any encoding: JSON, binary data, or a table. */
function boundText<T extends WithInputs>(request: T, { inputs }: ModelSignature, { maxTextBytes }: JobOptions): T {
  let strings = 0
  let bytes = 0
  for (const { name, type } of inputs) {
    const tensor = type === 'string' ? request.inputs[name] : undefined
    if (tensor?.type !== 'string') continue
    strings += tensor.data.length
    for (const string of tensor.data) bytes += Buffer.byteLength(string)
  }
  if (strings > MOST_STRINGS) throw tooMuch('REQUEST_INVALID', `at most ${MOST_STRINGS} strings`, strings)
  if (bytes > maxTextBytes) throw tooMuch('BODY_TOO_LARGE', `at most ${maxTextBytes} bytes of text in their strings`, bytes)
  return request
}

function tooMuch(code: 'REQUEST_INVALID' | 'BODY_TOO_LARGE', expected: string, got: number): ModelmountError {
  return new ModelmountError(code, `the inputs of one request must have ${expected}, got ${got}`, {
    details: { field: 'inputs', expected, got: `${got}` },
  })
}

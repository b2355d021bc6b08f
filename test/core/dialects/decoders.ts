/** Every decoder there is, by name, with the bounds that the server sets. */

import { decodeBody } from '../../../src/core/decoding/jobs.ts'
import { type Decoder, DIALECTS, decodersOf } from '../../../src/core/dialects/index.ts'
import { INVOCATION } from '../../../src/core/dialects/mlflow/request.ts'
import { GENERATE, INFER } from '../../../src/core/dialects/open-inference/decoders.ts'
import { PREDICT } from '../../../src/core/dialects/tf-serving/request.ts'
import type { ModelSignature } from '../../../src/core/tensor/types.ts'

type Options = Parameters<typeof decodeBody>[3]

const reader =
  <D extends Decoder>(decoder: D) =>
  (body: unknown, signature: ModelSignature, opts: Options) =>
    decodeBody(decoder, body, signature, opts) as ReturnType<D['decode']>

export const READERS = {
  infer: reader(INFER),
  generate: reader(GENERATE),
  tfPredict: reader(PREDICT),
  invocation: reader(INVOCATION),
}

export type Kind = keyof typeof READERS

/** Of the table that the decoding thread has. */
export const decoderOf = (kind: Kind): Decoder => decodersOf(DIALECTS).get(kind) as Decoder

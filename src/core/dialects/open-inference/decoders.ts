/** How the bodies of this dialect are read. */

import type { Decoder } from '../operation.ts'
import { decodeGenerate, type GenerateRequest } from './generate.ts'
import type { InferRequest } from './infer-request.ts'
import { decodeInfer, decodeNumbers } from './request.ts'

export const INFER: Decoder<InferRequest> = {
  name: 'infer',
  decode: decodeInfer,
  decodeNumbers,
  advice: 'send tensors as binary data, or in several requests',
}

export const GENERATE: Decoder<GenerateRequest> = { name: 'generate', decode: decodeGenerate }

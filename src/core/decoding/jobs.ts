/** The kinds of bodies: one table for the host's thread and the decoding thread, so that both do and say the same. */

import { MOST_STRINGS } from '../dialects/codec/index.ts'
import type { Asked, Decoder, DecoderOptions } from '../dialects/index.ts'
import { ModelmountError } from '../errors.ts'
import type { ModelSignature } from '../tensor/types.ts'

/** Known on both threads. */
export interface JobOptions extends Pick<DecoderOptions, 'maxElements' | 'headerLength' | 'mediaType'> {
  /** Most bytes of UTF-8 in all strings together, in any encoding of the request. */
  readonly maxTextBytes: number
}

/** @throws ModelmountError of the decoder; `REQUEST_INVALID` or `BODY_TOO_LARGE` for more text than the server allows */
export function decodeBody<A extends Asked>(
  decoder: Decoder<A>,
  body: unknown,
  signature: ModelSignature,
  opts: DecoderOptions & JobOptions,
): A {
  return boundText(decoder.decode(body, signature, opts), signature, opts)
}

/** All strings of a request go on to the worker of a model at once, in any encoding: JSON, binary data, or a table. */
function boundText<A extends Asked>(request: A, { inputs }: ModelSignature, { maxTextBytes }: JobOptions): A {
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

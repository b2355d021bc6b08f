/** The requests of a dialect that run a model. */

import type { HttpRequest, HttpResponse } from '../http/types.ts'
import type { Tensors } from '../predict/call.ts'
import type { Served } from '../predict/served.ts'
import type { Priority } from '../scheduler/types.ts'
import type { SequencePlace } from '../sequences/types.ts'
import type { ModelSignature } from '../tensor/types.ts'
import type { BufferPool, Copies, Result, Steps } from './codec/index.ts'

/** A decoded body, in the words that all dialects share. */
export interface Asked {
  readonly inputs: Tensors
  /** The client's own, if it sent one. */
  readonly id?: string | undefined
  readonly outputs?: readonly string[] | undefined
}

/** The form of a body, as the headers state it. */
export interface BodyForm {
  /** Bytes of JSON before tensors in binary. */
  readonly headerLength?: number | undefined
  readonly mediaType?: 'json' | 'csv' | undefined
}

/** A body that is JSON as a whole. */
export const WHOLE: BodyForm = { headerLength: undefined }

export interface DecoderOptions extends BodyForm {
  /** Largest number of elements of one input. */
  readonly maxElements: number
  /** On the host's thread: the pieces after a body that is bytes. */
  readonly moreChunks?: readonly Uint8Array[] | undefined
  /** On the host's thread: memory for large tensors. */
  readonly buffers?: BufferPool | undefined
  /** On the host's thread: takes the copying of numbers. */
  readonly copies?: Copies | undefined
}

/** Reads one kind of body: a small one on the host's thread, a large one in the decoding thread, where the same table is. */
export interface Decoder<A extends Asked = Asked> {
  /** Its name in that table. */
  readonly name: string
  /**
   * @param body bytes or text, or the output of the app's own parser
   * @throws ModelmountError `REQUEST_INVALID`, `INPUT_INVALID`, `OUTPUT_NOT_FOUND`
   */
  decode(body: unknown, signature: ModelSignature, opts: DecoderOptions): A
  /** Reads flat lists of numbers, which are fast enough for the host's thread. `undefined` for any other body. @default none */
  decodeNumbers?(body: Uint8Array, signature: ModelSignature, opts: DecoderOptions): A | undefined
  /** A client's way out when its body is too long. @default to send several requests */
  readonly advice?: string
}

/** The terms that a body asks for. */
export interface Schedule {
  /** `undefined` for the model's usual one. */
  readonly priority: Priority | undefined
  /** `undefined` for none. */
  readonly timeoutMs: number | undefined
}

/** One kind of request that runs a model. */
export interface Operation<A extends Asked> {
  readonly decoder: Decoder<A>
  /** Whether the answer may be compressed. */
  readonly packs: boolean
  /**
   * Reads the headers that describe the body.
   * @throws ModelmountError `MEDIA_TYPE_UNSUPPORTED`, `REQUEST_INVALID`
   */
  read(request: HttpRequest): BodyForm
  /** A dialect without it has no word for deadlines and priorities. @throws ModelmountError `REQUEST_INVALID` */
  schedule?(asked: A): Schedule
  /** A dialect without it has no word for sequences. @throws ModelmountError `REQUEST_INVALID` */
  sequence?(asked: A, keepsState: boolean): SequencePlace | undefined
  /** An answer with views of the outputs' memory has a `discard`; all others are copies. */
  encode(result: Result, asked: A, served: Served): HttpResponse | Steps<HttpResponse>
}

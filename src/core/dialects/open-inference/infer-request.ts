/** The shape of a decoded infer request. */

import type { Tensor } from '../../tensor/types.ts'
import type { Parameters } from '../codec/fields.ts'
import type { Forms } from './forms.ts'

/** A decoded infer request. */
export interface InferRequest {
  /** Absent when the client sent none, or an empty one; only a client's own id is echoed. */
  readonly id?: string
  /** Null-prototype object, input name -> tensor that fits the signature. Numbers may be views of the body. */
  readonly inputs: Record<string, Tensor>
  /** Names of the wanted outputs, all of them known, each once. Absent when the client wants all. */
  readonly outputs?: readonly string[]
  /** How the answer is to be written. */
  readonly forms: Forms
  /** The request's own parameters. Parameters of single tensors are checked and, where they mean something, followed. */
  readonly parameters: Readonly<Parameters>
}

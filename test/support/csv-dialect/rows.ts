/** Bodies: numbers, a line for each row. */

import type { Asked, DecoderOptions } from '../../../src/core/dialects/index.ts'
import { checkInputs } from '../../../src/core/tensor/index.ts'
import type { ModelSignature, Tensor } from '../../../src/core/tensor/types.ts'

export interface Rows extends Asked {
  readonly inputs: Readonly<Record<string, Tensor>>
}

export function decodeRows(body: unknown, signature: ModelSignature, { maxElements }: DecoderOptions): Rows {
  const lines = Buffer.from(body as Uint8Array)
    .toString()
    .trim()
    .split('\n')
  const rows = lines.map((line) => line.split(',').map(Number))
  return { inputs: checkInputs(signature, { [signature.inputs[0]?.name ?? '']: rows }, { maxElements }) }
}

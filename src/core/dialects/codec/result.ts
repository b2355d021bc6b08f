/** The result that a dialect writes. */

import type { Tensor } from '../../tensor/types.ts'

export interface Result {
  readonly model: string
  readonly version: string
  readonly outputs: Readonly<Record<string, Tensor>>
}

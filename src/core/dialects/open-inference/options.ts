/** Options of a mount that this dialect has. */

import { boolean, type Declared } from '../../options/kinds.ts'

export interface OpenInferenceOptions {
  /**
   * Let clients load and unload models (`/v2/repository/…`). Every client that reaches such a mount decides what is served.
   * @default false
   */
  readonly management?: boolean
}

export const OPTIONS: Declared<OpenInferenceOptions> = {
  management: boolean
    .default(false)
    .asFlag({ says: 'let clients load and unload models of DIR: only if no one else can reach the port' }),
}

export function contradictions({ management }: OpenInferenceOptions, isMounted: boolean): string[] {
  return management && !isMounted ? ["management needs 'open-inference' among the dialects: its routes are below /v2"] : []
}

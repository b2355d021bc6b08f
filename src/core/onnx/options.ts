/** Options of reading model files. */

import { type Declared, oneOf } from '../options/kinds.ts'

/** Whether files are looked through. */
export interface ScanOptions {
  /**
   * Look through every model's file before ONNX Runtime gets it, for what no honest model has: data from files elsewhere, sizes that
   * do not go together, vendors' binaries. `off` only where something else has done that; never read from a model's own settings.
   * @default 'on'
   */
  readonly scan?: 'on' | 'off'
}

export const SCAN_OPTIONS = { scan: oneOf('on', 'off').default('on') } satisfies Declared<ScanOptions>

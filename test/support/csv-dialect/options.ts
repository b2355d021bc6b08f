/** Options of a mount that this dialect has. */

import { type Declared, object, oneOf } from '../../../src/core/options/kinds.ts'

export interface CsvOptions {
  /** The form of answers. @default commas */
  readonly csv?: { readonly separator: ',' | ';' }
}

export const OPTIONS: Declared<CsvOptions> = {
  csv: object<NonNullable<CsvOptions['csv']>>({ separator: oneOf(',', ';').required() }),
}

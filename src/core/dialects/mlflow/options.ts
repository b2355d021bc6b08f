/** Options of a mount that this dialect has. */

import { type Declared, name, object } from '../../options/kinds.ts'

export interface MlflowOptions {
  /** The model of the one-model routes of `mlflow`. @default the only model of the server, in its default version */
  readonly mlflow?: { readonly model: string; readonly version?: string }
}

export const OPTIONS: Declared<MlflowOptions> = {
  mlflow: object<NonNullable<MlflowOptions['mlflow']>>({ model: name.required(), version: name }),
}

export const contradictions = ({ mlflow }: MlflowOptions, isMounted: boolean): string[] =>
  mlflow && !isMounted ? ["mlflow needs 'mlflow' among the dialects"] : []

/** Written by `npm run generate` from the list in `index.ts`. */

import type { MlflowOptions } from './mlflow/options.ts'
import type { OpenInferenceOptions } from './open-inference/options.ts'

/** A request format with its own routes and its own shape of errors. */
export type HttpDialect = 'open-inference' | 'tf-serving' | 'mlflow'

/** Options of a mount that are made from the dialects. */
export interface DialectOptions extends OpenInferenceOptions, MlflowOptions {
  /**
   * `open-inference` answers below `/v2`, `tf-serving` below `/v1/models`, `mlflow` at `/invocations`, `/ping`, `/health` and `/version`.
   * @default ['open-inference']
   */
  readonly dialects?: readonly HttpDialect[]
}

/** The dialects of a mount that names none. */
export const USUAL: readonly HttpDialect[] = ['open-inference']

/** The paths of each dialect; a final `*` stands for any rest. */
export const ROOTS: Readonly<Record<HttpDialect, readonly string[]>> = {
  'open-inference': ['/v2', '/v2/*'],
  'tf-serving': ['/v1/models', '/v1/models/*'],
  mlflow: ['/invocations', '/ping', '/health', '/version'],
}

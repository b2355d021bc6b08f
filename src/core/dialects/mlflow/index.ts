/** MLflow's scoring server, which SageMaker's containers share `/ping` and `/invocations` with: one mount serves one model. */

import type { Dialect } from '../dialect.ts'
import { paths, SCHEMAS } from './openapi.ts'
import { contradictions, type MlflowOptions, OPTIONS } from './options.ts'
import { INVOCATION } from './request.ts'
import { encodeMlflowError } from './response.ts'
import { routes } from './routes.ts'

export const mlflow: Dialect<'mlflow', MlflowOptions> = {
  name: 'mlflow',
  roots: ['/invocations', '/ping', '/health', '/version'],
  options: OPTIONS,
  contradictions,
  decoders: [INVOCATION],
  routes,
  encodeError: encodeMlflowError,
  openapi: { schemas: SCHEMAS, paths },
}

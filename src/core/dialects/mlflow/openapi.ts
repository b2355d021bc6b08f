/** The part of this dialect in an OpenAPI document. */

import { type Described, named, operation, type Paths, probe, text } from '../../openapi/operation.ts'
import type { Json } from '../../openapi/tensors.ts'
import type { MlflowOptions } from './options.ts'

const ERROR = 'ModelmountMlflowError'

export const SCHEMAS: Json = {
  [ERROR]: { type: 'object', required: ['error_code', 'message'], properties: { error_code: text, message: text } },
}

/** The model behind the one-model routes. */
function single(models: readonly Described[], { mlflow }: MlflowOptions): Described | undefined {
  const known = models.filter(({ name, version, isDefault }) =>
    mlflow ? name === mlflow.model && (mlflow.version === undefined ? isDefault : version === mlflow.version) : isDefault,
  )
  const [info] = known
  // A request cannot name the sequence that a model with state needs.
  return (mlflow || known.length === 1) && !info?.sequences ? info : undefined
}

export function paths(models: readonly Described[], options: MlflowOptions): Paths {
  const info = single(models, options)
  const error = ERROR
  return {
    '/ping': { get: probe('mlflow_ping', 'Does the model take requests?') },
    ...(info
      ? {
          '/invocations': {
            post: operation({
              id: 'mlflow_invocations',
              summary: `Run ${info.name}, as MLflow would`,
              request: named(info),
              response: { type: 'object', properties: { predictions: {} } },
              error,
            }),
          },
        }
      : {}),
  }
}

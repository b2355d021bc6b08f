/** The part of this dialect in an OpenAPI document. */

import { type Described, named, operation, type Paths, placeOf, text } from '../../openapi/operation.ts'
import type { Json } from '../../openapi/tensors.ts'

const ERROR = 'ModelmountTfError'

export const SCHEMAS: Json = { [ERROR]: { type: 'object', required: ['error'], properties: { error: text } } }

export function paths(models: readonly Described[]): Paths {
  const paths: Paths = {}
  // A request cannot name the sequence that a model with state needs.
  for (const info of models.filter(({ sequences }) => !sequences)) {
    const { at, id } = placeOf(info)
    const error = ERROR
    const summary = `Run ${info.name}, version ${info.version}, as TensorFlow Serving would`
    const response: Json = { type: 'object', properties: { outputs: {}, predictions: {} } }
    paths[`/v1/models/${at}`] = { get: operation({ id: `tf_status_${id}`, summary: `State of ${info.name}`, error }) }
    paths[`/v1/models/${at}:predict`] = {
      post: operation({ id: `tf_predict_${id}`, summary, request: named(info), response, error }),
    }
  }
  return paths
}

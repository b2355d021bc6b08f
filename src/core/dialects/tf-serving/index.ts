/** TensorFlow Serving's REST API, which KServe's v1 protocol is nearly equal to. */

import type { Dialect } from '../dialect.ts'
import { encodeTfError } from './metadata.ts'
import { paths, SCHEMAS } from './openapi.ts'
import { PREDICT } from './request.ts'
import { routes } from './routes.ts'

export const tfServing: Dialect<'tf-serving'> = {
  name: 'tf-serving',
  roots: ['/v1/models', '/v1/models/*'],
  anyCase: true,
  options: {},
  decoders: [PREDICT],
  routes,
  encodeError: encodeTfError,
  openapi: { schemas: SCHEMAS, paths },
}

/** The Open Inference Protocol v2, with the extensions that Triton has. */

import type { Dialect } from '../dialect.ts'
import type { Route } from '../route.ts'
import { GENERATE, INFER } from './decoders.ts'
import { encodeError } from './errors.ts'
import { paths, SCHEMAS } from './openapi.ts'
import { contradictions, OPTIONS, type OpenInferenceOptions } from './options.ts'
import { configuration } from './routes/configuration.ts'
import { generate } from './routes/generate.ts'
import { inference } from './routes/inference.ts'
import { repository } from './routes/repository.ts'
import { statistics } from './routes/statistics.ts'

export const openInference: Dialect<'open-inference', OpenInferenceOptions> = {
  name: 'open-inference',
  roots: ['/v2', '/v2/*'],
  options: OPTIONS,
  contradictions,
  decoders: [INFER, GENERATE],
  routes(backend, mount) {
    const routes: Route[] = []
    // In Triton's order.
    const extensions: string[] = []
    if (mount.show.includes('inference')) {
      routes.push(...inference(backend, mount, extensions), ...statistics(backend), ...configuration(backend), ...generate(mount))
      extensions.push(
        'classification',
        'schedule_policy',
        'binary_tensor_data',
        'parameters',
        'statistics',
        'model_configuration',
      )
    }
    if (mount.options.management || mount.show.includes('manage')) {
      routes.push(...repository(backend))
      extensions.push('model_repository')
    }
    return routes
  },
  encodeError,
  openapi: { schemas: SCHEMAS, paths },
}

/** Triton's model configuration extension. */

import type { HttpResponse } from '../../../http/types.ts'
import { json } from '../../response.ts'
import type { Backend, Route, Visit } from '../../route.ts'
import { encodeConfig } from '../config.ts'
import { MODEL } from './inference.ts'

/** `batching.maxSize` where batching is switched off. */
const USUAL_ROWS = 64

export function configuration(backend: Backend): readonly Route[] {
  function answer({ params: { model: name = '', version } }: Visit): HttpResponse {
    const model = backend.resolve(name, version)
    const { maxBatch, batching } = model.config
    // Where nothing bounds the rows of a request, the size of a run is the number that clients want to know.
    return json(200, encodeConfig(backend.info(model), maxBatch ?? (batching === false ? USUAL_ROWS : batching.maxSize)))
  }

  return [{ method: 'GET', path: new RegExp(`^${MODEL}/config$`), action: 'read', handle: answer }]
}

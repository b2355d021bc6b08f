/** Triton's model configuration extension. */

import { type Call, json, shows, type TableMaker } from '../../../http/route.ts'
import type { HttpResponse } from '../../../http/types.ts'
import { encodeConfig } from '../config.ts'
import { isOpenInference, MODEL } from './inference.ts'

/** `batching.maxSize` where batching is switched off. */
const USUAL_ROWS = 64

export const configuration: TableMaker = (deps, { config }) => {
  if (!shows(config, 'open-inference')) return undefined

  function answer({ params: { model: name = '', version } }: Call): HttpResponse {
    const model = deps.resolve(name, version)
    const { maxBatch, batching } = model.config
    // Where nothing bounds the rows of a request, the size of a run is the number that clients want to know.
    return json(200, encodeConfig(deps.info(model), maxBatch ?? (batching === false ? USUAL_ROWS : batching.maxSize)))
  }

  return {
    extensions: ['model_configuration'],
    owns: isOpenInference,
    routes: [{ method: 'GET', path: new RegExp(`^${MODEL}/config$`), action: 'read', handle: answer }],
  }
}

/** Triton's model configuration extension. */

import { encodeConfig } from '../../protocol/index.ts'
import { json, type TableMaker } from '../route.ts'
import { isOpenInference, MODEL } from './open-inference.ts'

export const configuration: TableMaker = (deps, { config }) => {
  if (!config.dialects.includes('open-inference')) return undefined
  return {
    extensions: ['model_configuration'],
    owns: isOpenInference,
    routes: [
      {
        method: 'GET',
        path: new RegExp(`^${MODEL}/config$`),
        handle: ({ params: { model = '', version } }) => json(200, encodeConfig(deps.info(deps.resolve(model, version)))),
      },
    ],
  }
}

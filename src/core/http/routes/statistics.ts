/** Triton's statistics extension. */

import { encodeStatistics } from '../../protocol/index.ts'
import { type Call, json, shows, type TableMaker } from '../route.ts'
import type { HttpResponse } from '../types.ts'
import { isOpenInference, MODEL } from './open-inference.ts'

export const statistics: TableMaker = (deps, { config }) => {
  if (!shows(config, 'open-inference')) return undefined

  function stats({ params: { model: name, version } }: Call): HttpResponse {
    // An unknown or unready one is told as elsewhere.
    if (name !== undefined) deps.resolve(name, version)
    const models = deps.known(name, version).filter(({ state }) => state === 'ready')
    const all = models.map((model) => ({ info: deps.info(model), statistics: model.statistics.snapshot() }))
    return json(200, encodeStatistics(all))
  }

  return {
    extensions: ['statistics'],
    owns: isOpenInference,
    routes: [
      { method: 'GET', path: '/v2/models/stats', action: 'metrics', handle: stats },
      { method: 'GET', path: new RegExp(`^${MODEL}/stats$`), action: 'metrics', handle: stats },
    ],
  }
}

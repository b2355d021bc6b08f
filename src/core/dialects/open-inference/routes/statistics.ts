/** Triton's statistics extension. */

import { type Call, json, shows, type TableMaker } from '../../../http/route.ts'
import type { HttpResponse } from '../../../http/types.ts'
import { encodeStatistics } from '../statistics.ts'
import { isOpenInference, MODEL } from './inference.ts'

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

/** Triton's statistics extension. */

import type { HttpResponse } from '../../../http/types.ts'
import { json } from '../../response.ts'
import type { Backend, Route, Visit } from '../../route.ts'
import { encodeStatistics } from '../statistics.ts'
import { MODEL } from './inference.ts'

export function statistics(backend: Backend): readonly Route[] {
  function stats({ params: { model: name, version } }: Visit): HttpResponse {
    // An unknown or unready one is refused as elsewhere.
    if (name !== undefined) backend.resolve(name, version)
    const models = backend.known(name, version).filter(({ state }) => state === 'ready')
    const all = models.map((model) => ({ info: backend.info(model), statistics: model.statistics.snapshot() }))
    return json(200, encodeStatistics(all))
  }

  return [
    { method: 'GET', path: '/v2/models/stats', action: 'metrics', handle: stats },
    { method: 'GET', path: new RegExp(`^${MODEL}/stats$`), action: 'metrics', handle: stats },
  ]
}

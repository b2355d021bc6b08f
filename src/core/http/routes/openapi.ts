/** The routes of this mount, as an OpenAPI document. */

import { json } from '../../dialects/index.ts'
import type { TableMaker } from '../route.ts'

const PATH = '/openapi.json'

export const openapi: TableMaker = (deps, config) => {
  if (!config.openapi) return undefined
  return {
    owns: (path) => path === PATH,
    routes: [{ method: 'GET', path: PATH, action: 'list', handle: () => json(200, deps.openapi(config)) }],
  }
}

/** Triton's model repository extension: only where the mount was given `management`, as it decides what is served. */

import { toModelmountError } from '../../../errors.ts'
import { startOf } from '../../../http/rest.ts'
import { type Call, json, type TableMaker } from '../../../http/route.ts'
import type { HttpRequest, HttpResponse } from '../../../http/types.ts'
import {
  checkLoadRequest,
  checkUnloadRequest,
  encodeIndex,
  type IndexEntry,
  loadFailure,
  MOST_REPOSITORY_BYTES,
  readIndexRequest,
} from '../repository.ts'
import { isOpenInference } from './inference.ts'

/** The body of a request that has little to say: of a longer one no more than its first piece and so much that it is refused. */
const short = (request: HttpRequest): unknown => startOf(request, MOST_REPOSITORY_BYTES + 1)

const done = (): HttpResponse => ({ status: 200, headers: {}, body: new Uint8Array() })

export const repository: TableMaker = (deps, { config }) => {
  if (!config.management && !(config.show.includes('manage') && config.dialects.includes('open-inference'))) return undefined

  async function index({ request }: Call): Promise<HttpResponse> {
    const onlyReady = readIndexRequest(short(request))
    const known: IndexEntry[] = deps.known().map(deps.info)
    const entries = [...known, ...(await deps.control.absent()).map((found) => ({ ...found, state: 'unloaded' }) as const)]
    return json(200, encodeIndex(entries.filter(({ state }) => !onlyReady || state === 'ready')))
  }

  async function load({ request, params: { model = '' } }: Call): Promise<HttpResponse> {
    checkLoadRequest(short(request))
    try {
      await deps.control.load(model)
    } catch (error) {
      throw loadFailure(model, toModelmountError(error))
    }
    return done()
  }

  async function unload({ request, params: { model = '' } }: Call): Promise<HttpResponse> {
    checkUnloadRequest(short(request))
    await deps.control.unload(model)
    return done()
  }

  return {
    extensions: ['model_repository'],
    owns: isOpenInference,
    routes: [
      { method: 'POST', path: '/v2/repository/index', action: 'list', handle: index, isManagement: true },
      {
        method: 'POST',
        path: /^\/v2\/repository\/models\/(?<model>[^/]+)\/load$/,
        action: 'load',
        handle: load,
        isManagement: true,
      },
      {
        method: 'POST',
        path: /^\/v2\/repository\/models\/(?<model>[^/]+)\/unload$/,
        action: 'unload',
        handle: unload,
        isManagement: true,
      },
    ],
  }
}

/** Triton's model repository extension: only where the mount was given `management`, as it decides what is served. */

import { toModelmountError } from '../../../errors.ts'
import type { HttpRequest, HttpResponse } from '../../../http/types.ts'
import { json } from '../../response.ts'
import type { Backend, Route, Visit } from '../../route.ts'
import {
  checkLoadRequest,
  checkUnloadRequest,
  encodeIndex,
  type IndexEntry,
  loadFailure,
  MOST_REPOSITORY_BYTES,
  readIndexRequest,
} from '../repository.ts'

/** The body of a request that has little to say: of a longer one no more than its first pieces, which are enough to refuse it. */
function short({ body, moreChunks = [] }: HttpRequest): unknown {
  if (!(body instanceof Uint8Array) || moreChunks.length === 0) return body
  const pieces = [body]
  let length = body.byteLength
  for (const piece of moreChunks) {
    if (length > MOST_REPOSITORY_BYTES) break
    pieces.push(piece)
    length += piece.byteLength
  }
  return pieces.length === 1 ? body : Buffer.concat(pieces, length)
}

const done = (): HttpResponse => ({ status: 200, headers: {}, body: new Uint8Array() })

export function repository(backend: Backend): readonly Route[] {
  async function index({ request }: Visit): Promise<HttpResponse> {
    const onlyReady = readIndexRequest(short(request))
    const known: IndexEntry[] = backend.known().map(backend.info)
    const entries = [...known, ...(await backend.control.absent()).map((found) => ({ ...found, state: 'unloaded' }) as const)]
    return json(200, encodeIndex(entries.filter(({ state }) => !onlyReady || state === 'ready')))
  }

  async function load({ request, params: { model = '' } }: Visit): Promise<HttpResponse> {
    checkLoadRequest(short(request))
    try {
      await backend.control.load(model)
    } catch (error) {
      throw loadFailure(model, toModelmountError(error))
    }
    return done()
  }

  async function unload({ request, params: { model = '' } }: Visit): Promise<HttpResponse> {
    checkUnloadRequest(short(request))
    await backend.control.unload(model)
    return done()
  }

  const path = (end: string): RegExp => new RegExp(`^/v2/repository/models/(?<model>[^/]+)/${end}$`)
  return [
    { method: 'POST', path: '/v2/repository/index', action: 'list', handle: index, isManagement: true },
    { method: 'POST', path: path('load'), action: 'load', handle: load, isManagement: true },
    { method: 'POST', path: path('unload'), action: 'unload', handle: unload, isManagement: true },
  ]
}

/** The routes as a controller, so that the app's guards, interceptors and versioning hold for them. */

import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { All, Controller, type ControllerOptions, Inject, Req, Res, type Type } from '@nestjs/common'
import type { HttpHandler, Identify, MountOptions } from '../../core/http/types.ts'
import type { ModelServer } from '../../core/server/types.ts'
import { answer, type Framework } from '../answer.ts'
import { pathOf, segmentCount, skipSegments } from '../path.ts'
import { getModelServerToken } from './tokens.ts'

/** What Express's requests and Fastify's have in common. */
export interface NestRequest {
  readonly method: string
  readonly url: string
  readonly originalUrl: string
  readonly headers: IncomingHttpHeaders
  readonly params?: unknown
  readonly query?: unknown
  /** Where guards put whom they have recognised. */
  readonly user?: unknown
}

export interface RouteOptions extends MountOptions, Pick<ControllerOptions, 'version' | 'host'> {
  /**
   * Says on whose behalf a request comes, behind the app's guards. May take `Request` of Express, or `FastifyRequest`.
   * @default none: all requests are of one tenant
   */
  identify?(request: NestRequest): ReturnType<Identify<NestRequest>>
  /** Where the routes are, behind the app's global prefix: with `ml`, at `/ml/v2/…`. @default '' */
  readonly path?: string
}

/** A request as Express, or Fastify, hands it to Nest. */
interface PlatformRequest extends NestRequest {
  readonly raw?: IncomingMessage
  readonly body?: unknown
  readonly route?: { readonly path: string }
  readonly routeOptions?: { readonly url?: string }
}
interface FastifyReplyLike {
  readonly raw: ServerResponse
  readonly sent: boolean
  hijack(): void
  getHeaders(): Record<string, string | number | string[] | undefined>
}

/** @param roots as `rootsOf()` gives them */
export function createController(options: RouteOptions, roots: readonly string[], key: string | undefined): Type<object> {
  const { path = '', version, host, identify, ...mount } = options
  const depths = new Map<string, number>()

  /** How many segments stand before ours in a full route, whatever prefixes and versions the app puts there. */
  function depthOf(route: string): number {
    const known = depths.get(route)
    if (known !== undefined) return known
    const plain = route.replace(/\*\w*$/, '*')
    const root = roots.find((root) => plain.endsWith(root)) ?? ''
    const depth = segmentCount(plain) - segmentCount(root)
    depths.set(route, depth)
    return depth
  }

  class ModelServerController {
    readonly #handler: HttpHandler

    constructor(server: ModelServer) {
      this.#handler = server.http.mount(mount)
    }

    /** Resolves when the answer is written: interceptors see how long it took, and cannot change what protocols prescribe. */
    handle(req: PlatformRequest, res: ServerResponse | FastifyReplyLike): Promise<void> {
      const route = req.route?.path ?? req.routeOptions?.url ?? ''
      const below = skipSegments(pathOf(req.originalUrl), depthOf(route))
      const ask = identify && (() => identify(req))
      if (!('raw' in res)) return answer(this.#handler, req as unknown as IncomingMessage, res, below, { identify: ask })
      const framework: Framework = {
        body: (req.body ?? null) as Readable | null,
        identify: ask,
        claim: () => {
          if (res.sent) return undefined
          res.hijack()
          return res.getHeaders()
        },
      }
      return answer(this.#handler, req.raw as IncomingMessage, res.raw, below, framework)
    }
  }

  // The build emits no types of parameters for Nest to read, so everything is said in so many words.
  Inject(getModelServerToken(key))(ModelServerController, undefined, 0)
  Req()(ModelServerController.prototype, 'handle', 0)
  Res()(ModelServerController.prototype, 'handle', 1)
  Controller({ path, version, host })(ModelServerController)
  setRoutes(ModelServerController, roots)
  // @nestjs/swagger: what each route takes depends on the models, which /openapi.json describes.
  Reflect.defineMetadata('swagger/apiExcludeController', [true], ModelServerController)
  return ModelServerController
}

/** Says which paths below its own the controller has. May be said again until the app registers its routes. */
export function setRoutes(controller: Type<object>, paths: readonly string[]): void {
  const handle = Object.getOwnPropertyDescriptor(controller.prototype, 'handle') as PropertyDescriptor
  All([...paths])(controller.prototype, 'handle', handle)
}

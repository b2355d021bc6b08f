/** The routes as a controller, so that the app's guards, interceptors and versioning apply to them. */

import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { All, Controller, type ControllerOptions, Inject, Req, Res, type Type } from '@nestjs/common'
import type { HttpHandler, Identify, MountOptions } from '../../core/http/types.ts'
import type { ModelServer } from '../../core/server/types.ts'
import { answer, type Framework } from '../answer.ts'
import { pathOf, rootsOf, segmentCount, skipSegments } from '../path.ts'
import { getModelServerToken } from './tokens.ts'

/** The common part of Express's and Fastify's requests. */
export interface NestRequest {
  readonly method: string
  readonly url: string
  readonly originalUrl: string
  readonly headers: IncomingHttpHeaders
  readonly params?: unknown
  readonly query?: unknown
  /** The place where guards put the recognised user. */
  readonly user?: unknown
}

export interface RouteOptions extends MountOptions, Pick<ControllerOptions, 'version' | 'host'> {
  /**
   * Returns the identity behind a request, after the app's guards. May take `Request` of Express, or `FastifyRequest`.
   * @default none: all requests are of one tenant
   */
  identify?(request: NestRequest): ReturnType<Identify<NestRequest>>
  /** Path of the routes, behind the app's global prefix: with `ml`, they are at `/ml/v2/…`. @default '' */
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

/** Makes a function that counts the segments before ours in a full route, with any prefixes and versions of the app. */
function depthIn(roots: readonly string[]): (route: string) => number {
  const depths = new Map<string, number>()
  // An extension may have a route that ends like one of ours.
  const longestFirst = roots.toSorted((a, b) => segmentCount(b) - segmentCount(a))
  return (route) => {
    const known = depths.get(route)
    if (known !== undefined) return known
    const plain = route.replace(/\*\w*$/, '*')
    const root = longestFirst.find((root) => plain.endsWith(root)) ?? ''
    const depth = segmentCount(plain) - segmentCount(root)
    depths.set(route, depth)
    return depth
  }
}

/** The mount of a server behind a controller, and all of its paths: those of extensions are known once there is a server. */
export function mounted(
  server: ModelServer,
  options: RouteOptions,
): { readonly handler: HttpHandler; readonly roots: readonly string[] } {
  const { path, version, host, identify, ...mount } = options
  const handler = server.http.mount(mount)
  return { handler, roots: [...rootsOf(mount), ...handler.roots] }
}

export function createController(options: RouteOptions, key: string | undefined): Type<object> {
  const { path = '', version, host, identify, ...mount } = options

  class ModelServerController {
    readonly #handler: HttpHandler
    readonly #depthOf: (route: string) => number

    constructor(server: ModelServer) {
      const { handler, roots } = mounted(server, options)
      this.#handler = handler
      this.#depthOf = depthIn(roots)
    }

    /** Resolves when the answer is written: interceptors see its duration, and cannot change an answer that a protocol prescribes. */
    handle(req: PlatformRequest, res: ServerResponse | FastifyReplyLike): Promise<void> {
      const route = req.route?.path ?? req.routeOptions?.url ?? ''
      const below = skipSegments(pathOf(req.originalUrl), this.#depthOf(route))
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

  // The build emits no parameter types for Nest to read, so everything is spelled out.
  Inject(getModelServerToken(key))(ModelServerController, undefined, 0)
  Req()(ModelServerController.prototype, 'handle', 0)
  Res()(ModelServerController.prototype, 'handle', 1)
  Controller({ path, version, host })(ModelServerController)
  setRoutes(ModelServerController, rootsOf(mount))
  // @nestjs/swagger: the inputs of each route depend on the models, which /openapi.json describes.
  Reflect.defineMetadata('swagger/apiExcludeController', [true], ModelServerController)
  return ModelServerController
}

/** Sets the controller's paths below its own. May be called again until the app registers its routes. */
export function setRoutes(controller: Type<object>, paths: readonly string[]): void {
  const handle = Object.getOwnPropertyDescriptor(controller.prototype, 'handle') as PropertyDescriptor
  All([...paths])(controller.prototype, 'handle', handle)
}

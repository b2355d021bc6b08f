/**
 * Fastify 5.
 * @module modelmount/fastify
 */

import type { Readable } from 'node:stream'
import type { FastifyContentTypeParser, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import type { MountOptions } from '../core/http/types.ts'
import type { ModelServer } from '../core/server/types.ts'
import { answer } from './answer.ts'
import type { Identified } from './identity.ts'
import { pathOf, rootsOf, segmentCount, skipSegments } from './path.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The server that `modelPlugin` was registered with. */
    models: ModelServer
  }
}

export interface ModelPluginOptions extends MountOptions, Identified<FastifyRequest> {
  readonly server: ModelServer
  /** Prefix of the routes: with `/ml`, they are at `/ml/v2/…`. @default '' */
  readonly prefix?: string
  /** Largest request body in bytes, no more than the server's `maxBodyBytes`. @default the app's `bodyLimit`, if set */
  readonly bodyLimit?: number
  /** Close the model server when the app closes, after the last answer. @default true */
  readonly closeServer?: boolean
  /** Name of the decorator on the app, for several servers in one app; `false` for none. @default 'models' */
  readonly decorator?: string | false
}

/** Fastify's default limit: meant for JSON, too small for tensors. */
const FASTIFY_DEFAULT_BODY_LIMIT = 1024 * 1024

/** From here on the reply is ours, with the headers that hooks of the app have set, unless other code has answered first. */
function claim(reply: FastifyReply): ReturnType<FastifyReply['getHeaders']> | undefined {
  if (reply.sent) return undefined
  reply.hijack()
  return reply.getHeaders()
}

const plugin: FastifyPluginAsync<ModelPluginOptions> = async (app, options) => {
  const { server, prefix = '', bodyLimit, closeServer = true, decorator = 'models', identify, ...mount } = options
  const handler = server.http.mount(mount)
  const appLimit = app.initialConfig.bodyLimit
  const maxBodyBytes = bodyLimit ?? (appLimit === FASTIFY_DEFAULT_BODY_LIMIT ? undefined : appLimit)

  if (decorator !== false && !app.hasDecorator(decorator)) app.decorate(decorator, server)
  // Fastify runs these when no request is running any more.
  if (closeServer) app.addHook('onClose', () => server.close())

  // A scope of its own, so that its parsers apply nowhere else.
  await app.register(
    async (scope) => {
      const depth = segmentCount(scope.prefix)
      const serve = (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
        const body = (request.body ?? null) as Readable | null
        const path = skipSegments(pathOf(request.raw.url), depth)
        const ask = identify && (() => identify(request))
        return answer(handler, request.raw, reply.raw, path, { body, maxBodyBytes, identify: ask, claim: () => claim(reply) })
      }
      scope.removeAllContentTypeParsers()
      // The stream itself, for any type: it is read once the app's hooks have let the request pass. Fastify finds the usual types faster
      // when they are named.
      const passOn: FastifyContentTypeParser = (_request, payload, done) => done(null, payload)
      scope.addContentTypeParser(['application/json', 'application/octet-stream'], passOn)
      scope.addContentTypeParser('*', passOn)
      scope.setErrorHandler((error: { code?: string }, request, reply) => {
        // A content type that Fastify cannot even read. The app's own errors go to the app's handler.
        if (error.code !== 'FST_ERR_CTP_INVALID_MEDIA_TYPE') throw error
        return serve(request, reply)
      })
      for (const url of [...rootsOf(mount), ...handler.roots]) scope.all(url, { schema: { hide: true } as object }, serve)
    },
    { prefix },
  )
}

/**
 * The prediction routes as a plugin: `app.register(modelPlugin, { server, prefix: '/ml' })` answers `/ml/v2/…`, and `app.models` is the server.
 * The app's hooks up to `preHandler`, and `onResponse`, run for the routes; `preSerialization` and `onSend` do not: the answer is one buffer.
 */
export const modelPlugin = fastifyPlugin(plugin, { name: 'modelmount', fastify: '5.x' })
export default modelPlugin

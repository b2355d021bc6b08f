/** Every way to carry a server, as an app around it would: the hosts of the conformance suite. */

import 'reflect-metadata'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  Body,
  type CanActivate,
  Controller,
  type ExecutionContext,
  Get,
  type INestApplication,
  Module,
  Post,
  UnauthorizedException,
} from '@nestjs/common'
import { type AbstractHttpAdapter, NestFactory } from '@nestjs/core'
import { ExpressAdapter } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import compression from 'compression'
import cors from 'cors'
import express5, { type Express, type RequestHandler } from 'express'
import express4 from 'express4'
import Fastify from 'fastify'
import { Hono } from 'hono'
import { compress } from 'hono/compress'
import { cors as honoCors } from 'hono/cors'
import type { Identify, ModelServer, MountOptions } from 'modelmount'
import { modelRouter } from 'modelmount/express'
import { modelPlugin } from 'modelmount/fastify'
import { fetchHandler } from 'modelmount/fetch'
import { ModelServerModule } from 'modelmount/nestjs'
import { attach, nodeHandler } from 'modelmount/node'
import { webListener } from '../../src/cli/web.ts'

/** The common part of all frameworks' requests. */
export interface AnyRequest {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly headers: Headers | IncomingHttpHeaders
}

export interface Mount {
  readonly server: ModelServer
  /** Starts with `/`, or is empty. */
  readonly prefix: string
  readonly options?: MountOptions & { readonly identify?: Identify<AnyRequest> }
}

/**
 * `bare` has nothing but the models and a route `/hello`. `full` has CORS and compression for every answer, refuses requests with
 * `x-deny: yes` (401), and parses JSON for its own route `/echo`.
 */
export type App = 'bare' | 'full'

export interface Running {
  readonly port: number
  close(): Promise<void>
}

export interface Host {
  readonly name: string
  /** True where the app's middleware is bypassed, by design. */
  readonly bypasses?: true
  /** Compression of the whole app reaches our answers. */
  readonly compresses?: true
  /** A `Request` stands between the socket and the adapter. */
  readonly isWeb?: true
  start(mounts: readonly Mount[], app: App): Promise<Running>
}

const listening = async (http: Server): Promise<Running> => {
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  return {
    port: (http.address() as AddressInfo).port,
    async close() {
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
    },
  }
}

const deny: RequestHandler = (req, res, next) => void (req.headers['x-deny'] ? res.status(401).send('denied') : next())

function expressApp(express: typeof express5, app: App, models?: (app: Express) => void): Express {
  const made = express()
  if (app === 'full') made.use(compression({ threshold: 0 }), cors(), deny)
  models?.(made)
  if (app === 'full') made.post('/echo', express.json(), (req, res) => void res.json(req.body))
  made.get('/hello', (_req, res) => void res.send('hello'))
  return made
}

const onExpress = (name: string, express: typeof express5): Host => ({
  name,
  compresses: true,
  start(mounts, app) {
    const made = expressApp(express, app, (made) => {
      for (const { server, prefix, options } of mounts) made.use(prefix || '/', modelRouter(server, options))
    })
    return listening(createServer(made))
  },
})

const onFastify: Host = {
  name: 'Fastify',
  async start(mounts, app) {
    const made = Fastify({ forceCloseConnections: true })
    if (app === 'full') {
      made.addHook('onRequest', async (_request, reply) => void reply.header('access-control-allow-origin', '*'))
      made.addHook('preHandler', async (request, reply) => {
        if (request.headers['x-deny']) return reply.code(401).send('denied')
      })
      made.post('/echo', async (request) => request.body)
    }
    made.get('/hello', async () => 'hello')
    for (const { server, prefix, options } of mounts)
      await made.register(modelPlugin, { server, prefix, closeServer: false, decorator: false, ...options })
    await made.listen({ port: 0, host: '127.0.0.1' })
    return { port: (made.server.address() as AddressInfo).port, close: () => made.close() }
  },
}

const onNode: Host = {
  name: 'node:http',
  start(mounts, app) {
    const rest = expressApp(express5, app)
    const handlers = mounts.map(({ server, prefix, options }) => nodeHandler(server, { prefix, ...options }))
    return listening(
      createServer((req, res) => {
        if (app === 'full') res.setHeader('access-control-allow-origin', '*')
        if (app === 'full' && req.headers['x-deny']) return void res.writeHead(401).end('denied')
        const run = (i: number): void => {
          const handler = handlers[i]
          if (handler) handler(req, res, () => run(i + 1))
          else rest(req, res)
        }
        run(0)
      }),
    )
  },
}

const onAttach = (name: string, fastLane: boolean): Host => ({
  name,
  bypasses: true,
  start(mounts, app) {
    const http = createServer(expressApp(express5, app))
    for (const { server, prefix, options } of mounts) attach(http, server, { prefix, fastLane, ...options })
    return listening(http)
  },
})

const onFetch: Host = {
  name: 'Request and Response',
  isWeb: true,
  start(mounts, app) {
    const handlers = mounts.map(({ server, prefix, options }) => ({
      prefix,
      handle: fetchHandler(server, { prefix, ...options }),
    }))
    const headers = app === 'full' ? { 'access-control-allow-origin': '*' } : {}
    const hello = new Map([['/hello', 'hello']])
    return listening(
      createServer(
        webListener(async (request) => {
          const text = hello.get(new URL(request.url).pathname)
          if (text) return new Response(text)
          if (app === 'full' && request.headers.has('x-deny')) return new Response('denied', { status: 401 })
          if (app === 'full' && request.url.endsWith('/echo')) return Response.json(await request.json())
          const { pathname } = new URL(request.url)
          const found = handlers.find(({ prefix }) => pathname.startsWith(`${prefix}/`))
          const response = (await found?.handle(request)) ?? new Response(null, { status: 404 })
          for (const [name, value] of Object.entries(headers)) response.headers.set(name, value)
          return response
        }),
      ),
    )
  },
}

const onHono: Host = {
  name: 'Hono',
  isWeb: true,
  compresses: true,
  start(mounts, app) {
    const made = new Hono()
    if (app === 'full') {
      made.use(compress({ threshold: 0 }), honoCors())
      made.use(async (c, next) => (c.req.header('x-deny') ? c.text('denied', 401) : next()))
      made.post('/echo', async (c) => c.json(await c.req.json()))
    }
    made.get('/hello', (c) => c.text('hello'))
    for (const { server, prefix, options } of mounts) {
      const models = fetchHandler(server, { prefix, ...options })
      made.all(`${prefix}/*`, (c) => models(c.req.raw))
    }
    return listening(createServer(webListener(async (request) => made.fetch(request))))
  },
}

/** The metadata of decorators; the tests are compiled without them. */
class HelloController {
  hello(): string {
    return 'hello'
  }
  echo(body: unknown): unknown {
    return body
  }
}
const methodOf = (name: 'hello' | 'echo') =>
  Object.getOwnPropertyDescriptor(HelloController.prototype, name) as PropertyDescriptor
Controller()(HelloController)
Get('/hello')(HelloController.prototype, 'hello', methodOf('hello'))
Post('/echo')(HelloController.prototype, 'echo', methodOf('echo'))
Body()(HelloController.prototype, 'echo', 0)

const denyGuard: CanActivate = {
  canActivate(context: ExecutionContext) {
    if (context.switchToHttp().getRequest().headers['x-deny']) throw new UnauthorizedException()
    return true
  },
}

const onNest = (name: string, adapter: () => AbstractHttpAdapter, compresses?: true): Host => ({
  name,
  compresses,
  async start(mounts, app) {
    class AppModule {}
    Module({
      imports: mounts.map(({ server, prefix, options }, i) =>
        ModelServerModule.forRootAsync({
          useFactory: () => kept(server),
          routes: { path: prefix, ...options },
          key: String(i),
        }),
      ),
      controllers: [HelloController],
    })(AppModule)
    const made: INestApplication = await NestFactory.create(AppModule, adapter(), {
      logger: ['error', 'warn'],
      forceCloseConnections: true,
    })
    if (app === 'full') {
      if (compresses) made.use(compression({ threshold: 0 }))
      made.enableCors()
      made.useGlobalGuards(denyGuard)
    }
    await made.listen(0, '127.0.0.1')
    return { port: (made.getHttpServer().address() as AddressInfo).port, close: () => made.close() }
  },
})

/** The server, which outlives the app. */
const kept = (server: ModelServer): ModelServer => ({ ...server, close: async () => {} })

export const HOSTS: readonly Host[] = [
  onExpress('Express 4', express4),
  onExpress('Express 5', express5),
  onFastify,
  onNode,
  onAttach('attach()', false),
  onAttach('the fast lane', true),
  onFetch,
  onHono,
  onNest('Nest on Express', () => new ExpressAdapter(), true),
  onNest('Nest on Fastify', () => new FastifyAdapter({ forceCloseConnections: true })),
]

/** Every way to carry a server, as an app around it would: what the conformance suite runs against. */

import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import compression from 'compression'
import cors from 'cors'
import express5, { type Express, type RequestHandler } from 'express'
import express4 from 'express4'
import Fastify from 'fastify'
import { Hono } from 'hono'
import { compress } from 'hono/compress'
import { cors as honoCors } from 'hono/cors'
import type { ModelServer, MountOptions } from 'modelmount'
import { modelRouter } from 'modelmount/express'
import { modelPlugin } from 'modelmount/fastify'
import { fetchHandler } from 'modelmount/fetch'
import { attach, nodeHandler } from 'modelmount/node'
import { webListener } from '../../src/cli/web.ts'

export interface HostOptions {
  /** Starts with `/`, or is empty. */
  readonly prefix: string
  readonly mount?: MountOptions
  /**
   * `bare` has nothing but the models and a route `/hello`. `full` has CORS and compression for every answer, refuses requests with
   * `x-deny: yes` (401), and parses JSON for its own route `/echo`.
   */
  readonly app: 'bare' | 'full'
}

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
  start(server: ModelServer, options: HostOptions): Promise<Running>
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

function expressApp(express: typeof express5, app: HostOptions['app'], models?: (app: Express) => void): Express {
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
  start(server, { prefix, mount, app }) {
    const made = expressApp(express, app, (made) => void made.use(prefix || '/', modelRouter(server, mount)))
    return listening(createServer(made))
  },
})

const onFastify: Host = {
  name: 'Fastify',
  async start(server, { prefix, mount, app }) {
    const made = Fastify({ forceCloseConnections: true })
    if (app === 'full') {
      made.addHook('onRequest', async (_request, reply) => void reply.header('access-control-allow-origin', '*'))
      made.addHook('preHandler', async (request, reply) => {
        if (request.headers['x-deny']) return reply.code(401).send('denied')
      })
      made.post('/echo', async (request) => request.body)
    }
    made.get('/hello', async () => 'hello')
    await made.register(modelPlugin, { server, prefix, closeServer: false, ...mount })
    await made.listen({ port: 0, host: '127.0.0.1' })
    return { port: (made.server.address() as AddressInfo).port, close: () => made.close() }
  },
}

const onNode: Host = {
  name: 'node:http',
  start(server, { prefix, mount, app }) {
    const rest = expressApp(express5, app)
    const models = nodeHandler(server, { prefix, ...mount })
    return listening(
      createServer((req, res) => {
        if (app === 'full') res.setHeader('access-control-allow-origin', '*')
        if (app === 'full' && req.headers['x-deny']) return void res.writeHead(401).end('denied')
        models(req, res, () => rest(req, res))
      }),
    )
  },
}

const onAttach: Host = {
  name: 'attach()',
  bypasses: true,
  start(server, { prefix, mount, app }) {
    const http = createServer(expressApp(express5, app))
    attach(http, server, { prefix, ...mount })
    return listening(http)
  },
}

const onFetch: Host = {
  name: 'Request and Response',
  isWeb: true,
  start(server, { prefix, mount, app }) {
    const models = fetchHandler(server, { prefix, ...mount })
    const headers = app === 'full' ? { 'access-control-allow-origin': '*' } : {}
    const hello = new Map([['/hello', 'hello']])
    return listening(
      createServer(
        webListener(async (request) => {
          const text = hello.get(new URL(request.url).pathname)
          if (text) return new Response(text)
          if (app === 'full' && request.headers.has('x-deny')) return new Response('denied', { status: 401 })
          if (app === 'full' && request.url.endsWith('/echo')) return Response.json(await request.json())
          const response = await models(request)
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
  start(server, { prefix, mount, app }) {
    const made = new Hono()
    if (app === 'full') {
      made.use(compress({ threshold: 0 }), honoCors())
      made.use(async (c, next) => (c.req.header('x-deny') ? c.text('denied', 401) : next()))
      made.post('/echo', async (c) => c.json(await c.req.json()))
    }
    made.get('/hello', (c) => c.text('hello'))
    const models = fetchHandler(server, { prefix, ...mount })
    made.all(`${prefix}/*`, (c) => models(c.req.raw))
    return listening(createServer(webListener(async (request) => made.fetch(request))))
  },
}

export const HOSTS: readonly Host[] = [
  onExpress('Express 4', express4),
  onExpress('Express 5', express5),
  onFastify,
  onNode,
  onAttach,
  onFetch,
  onHono,
]

/** The frameworks that `serve` can put under the routes; each is an optional package of the user's. */

import { createServer, type Server } from 'node:http'
import { modelRouter } from '../adapters/express.ts'
import { modelPlugin } from '../adapters/fastify.ts'
import { fetchHandler } from '../adapters/fetch.ts'
import { nodeHandler } from '../adapters/node.ts'
import { isModelmountError, ModelmountError } from '../core/errors.ts'
import type { MountOptions } from '../core/http/types.ts'
import type { ModelServer } from '../core/server/types.ts'
import { webListener } from './web.ts'

/** Makes a server that does not listen yet. */
type Carrier = (server: ModelServer, mount: MountOptions) => Promise<Server>

const onNode: Carrier = async (server, mount) => createServer(nodeHandler(server, mount))

const onFetch: Carrier = async (server, mount) => createServer(webListener(fetchHandler(server, mount)))

const onExpress: Carrier = async (server, mount) => {
  const { default: express } = await needed('express', 'express', () => import('express'))
  const app = express()
  app.disable('x-powered-by')
  app.use(modelRouter(server, mount))
  return createServer(app)
}

const onFastify: Carrier = async (server, mount) => {
  const { default: Fastify } = await needed('fastify', 'fastify', () => import('fastify'))
  const app = Fastify()
  await app.register(modelPlugin, { server, closeServer: false, ...mount })
  await app.ready()
  return app.server
}

const onNest: Carrier = async (server, mount) => {
  const packages = '@nestjs/core @nestjs/common @nestjs/platform-express reflect-metadata rxjs'
  const { NestFactory } = await needed('nestjs', packages, () => import('@nestjs/core'))
  const { ModelServerModule } = await import('../adapters/nestjs.ts')
  const module = ModelServerModule.forRootAsync({ useFactory: () => server, routes: mount })
  const app = await NestFactory.create(module, { logger: false, abortOnError: false })
  await app.init()
  return app.getHttpServer() as Server
}

const CARRIERS = new Map<string, Carrier>([
  ['express', onExpress],
  ['fastify', onFastify],
  ['nestjs', onNest],
  ['node', onNode],
  ['fetch', onFetch],
])

export const CARRIER_NAMES: readonly string[] = [...CARRIERS.keys()]

/**
 * @param name one of {@link CARRIER_NAMES}; without one Express if it is installed, else plain Node
 * @throws ModelmountError `OPTIONS_INVALID` if the framework is not installed
 */
export async function carry(name: string | undefined, server: ModelServer, mount: MountOptions): Promise<Server> {
  const carrier = CARRIERS.get(name ?? 'express')
  if (!carrier) throw new ModelmountError('OPTIONS_INVALID', `there is no adapter '${name}'`)
  try {
    return await carrier(server, mount)
  } catch (error) {
    const isMissing = isModelmountError(error) && error.details?.packages !== undefined
    if (name === undefined && isMissing) return onNode(server, mount)
    throw error
  }
}

async function needed<T>(adapter: string, packages: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    const sentence = `--adapter ${adapter} needs packages that are not installed; run: npm install ${packages}`
    throw new ModelmountError('OPTIONS_INVALID', sentence, { cause, details: { packages } })
  }
}

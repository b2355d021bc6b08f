/** `modelmount serve`: a model repository behind the HTTP protocol, drained on SIGTERM. */

import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { modelRouter } from '../adapters/express.ts'
import { ModelmountError } from '../core/errors.ts'
import { createModelServer } from '../core/server.ts'
import type { Isolation, ModelServer } from '../core/types.ts'
import { drainable } from './drain.ts'

export interface ServeOptions {
  readonly models: string
  readonly port: number
  readonly host: string
  readonly isolation: Isolation
  readonly instances: number
  readonly strict: boolean
}

/** Above the keep-alive of usual client pools and proxies, so that it is never us who close a connection they are about to use. */
const KEEP_ALIVE_MS = 75_000

/** Resolves with the exit code once a signal has ended the server and everything it had accepted is answered. */
export async function serve(opts: ServeOptions): Promise<number> {
  const { models, port, host, isolation, instances, strict } = opts
  const ended = Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')])
  const server = await createModelServer({ repository: models, isolation, instances, strict })
  const http = createServer(await expressApp(server))
  const stop = drainable(http)
  http.keepAliveTimeout = KEEP_ALIVE_MS
  http.listen(port, host)
  await once(http, 'listening')
  const address = http.address() as AddressInfo
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address
  process.stdout.write(`${JSON.stringify({ event: 'listening', url: `http://${name}:${address.port}` })}\n`)

  await ended
  process.stderr.write('modelmount: draining\n')
  await stop()
  await server.close()
  return 0
}

/** Express is an optional peer: the command says so instead of failing with a module error. */
async function expressApp(server: ModelServer): Promise<RequestListener> {
  const { default: express } = await import('express').catch((cause: unknown) => {
    throw new ModelmountError('OPTIONS_INVALID', '--adapter express needs the package express; run: npm install express', {
      cause,
    })
  })
  const app = express()
  app.disable('x-powered-by')
  app.use(modelRouter(server))
  return app
}

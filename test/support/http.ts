/** A plain HTTP client that sends paths, headers and broken bodies exactly as written, which fetch does not. */

import {
  Agent,
  createServer,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type RequestListener,
  request,
  type Server,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** The body as JSON; `undefined` when it is not JSON. */
  readonly json: unknown
}

export interface Connection {
  readonly port: number
  send(method: string, path: string, body?: string | Uint8Array, headers?: OutgoingHttpHeaders): Promise<Answer>
  get(path: string): Promise<Answer>
  post(path: string, body: unknown, headers?: OutgoingHttpHeaders): Promise<Answer>
  /** Closes what is kept alive. */
  end(): void
}

export interface Client extends Connection {
  readonly http: Server
  close(): Promise<void>
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A client for what listens on a port of this machine. */
export function connectTo(port: number): Connection {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })

  function send(method: string, path: string, body?: string | Uint8Array, headers: OutgoingHttpHeaders = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const length = body === undefined || headers['transfer-encoding'] ? {} : { 'content-length': Buffer.byteLength(body) }
      const req = request({ host: '127.0.0.1', port, method, path, agent, headers: { ...length, ...headers } }, (res) => {
        const chunks: Buffer[] = []
        res.on('data', (chunk: Buffer) => chunks.push(chunk))
        res.on('error', reject)
        res.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8')
          resolve({ status: res.statusCode ?? 0, headers: res.headers, text, json: parsed(text) })
        })
      })
      req.on('error', reject)
      req.end(body)
    })
  }

  return {
    port,
    send,
    get: (path) => send('GET', path),
    post: (path, body, headers) =>
      send('POST', path, typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body), {
        'content-type': 'application/json',
        ...headers,
      }),
    end: () => agent.destroy(),
  }
}

/** Listens on a free port and returns a client for it. */
export async function serveHttp(app: RequestListener): Promise<Client> {
  const http = createServer(app)
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const connection = connectTo((http.address() as AddressInfo).port)
  return {
    ...connection,
    http,
    async close() {
      connection.end()
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
    },
  }
}

/** The same, closed when the running test has finished. */
export async function httpFor(app: RequestListener): Promise<Client> {
  const client = await serveHttp(app)
  onTestFinished(() => client.close())
  return client
}

/** What an app process is told and what it answers. */

import type { RequestListener } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface AppAsk {
  /** The model that is served as `m`. */
  readonly model: Uint8Array
}

export interface AppAnswer {
  readonly port: number
}

export async function listen(app: RequestListener): Promise<AppAnswer> {
  const http = createServer(app)
  // Connections that wait for their turn must not be closed under the client.
  http.keepAliveTimeout = 120_000
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  return { port: (http.address() as AddressInfo).port }
}

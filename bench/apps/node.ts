/** Plain `node:http`: the least that a server can do, and modelmount with nothing around it. */

import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { attach, nodeHandler } from 'modelmount/node'
import { SESSION } from '../lib/direct.ts'
import { createProvedServer } from '../lib/proved.ts'
import type { AppAnswer, AppAsk } from './ask.ts'
import { ECHO_LABEL, echo, type InferBody, KEEP_ALIVE_MS } from './rivals.ts'

async function listen(label: string, listener: RequestListener, prepare = (_http: ReturnType<typeof createServer>): void => {}) {
  const http = createServer(listener)
  http.keepAliveTimeout = KEEP_ALIVE_MS
  prepare(http)
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  return { port: (http.address() as AddressInfo).port, label }
}

/** @param isLane in front of an app and in the fast lane, instead of as the app */
export async function startNode({ model, names = ['m'] }: AppAsk, isLane: boolean): Promise<AppAnswer> {
  const models = names.map((name) => ({ name, source: model, session: SESSION }))
  const server = await createProvedServer({ models, strict: true })
  if (!isLane) return listen('modelmount', nodeHandler(server, { fastLane: true }))
  return listen(
    'modelmount',
    (_req, res) => void res.writeHead(404).end(),
    (http) => void attach(http, server, { fastLane: true }),
  )
}

/** The fastest form there is: no stream helpers, one piece of header, one write; a body of one piece is not copied. */
const answering =
  (type: string, answer: (body: Buffer) => Buffer | string): RequestListener =>
  (req, res) => {
    const pieces: Buffer[] = []
    req.on('data', (piece: Buffer) => pieces.push(piece))
    req.on('end', () => {
      const body = answer(pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces))
      res.writeHead(200, { 'content-type': type, 'content-length': Buffer.byteLength(body) })
      res.end(body)
    })
  }

export const startNodeEcho = (): Promise<AppAnswer> =>
  listen(
    `node:http, ${ECHO_LABEL}`,
    answering('application/json', (body) => JSON.stringify(echo(JSON.parse(body.toString()) as InferBody))),
  )

export const startNodeBytes = (): Promise<AppAnswer> =>
  listen(
    'node:http, the same bytes sent back',
    answering('application/octet-stream', (body) => body),
  )

/** On whose behalf requests come: every adapter asks the app, with the framework's own request, and never assumes. */

import { IncomingMessage } from 'node:http'
import { createModelServer, type Identity, type ModelServer, type ServerEvent } from 'modelmount'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { addModel, totalModel } from '../../tools/models.mjs'
import { type Connection, connectTo } from '../support/http.ts'
import { openSocket } from '../support/socket.ts'
import { type AnyRequest, HOSTS, type Host } from './hosts.ts'
import { ADD } from './requests.ts'

let server: ModelServer
const events: ServerEvent[] = []
beforeAll(async () => {
  server = await createModelServer({
    logger: false,
    strict: true,
    models: [
      { name: 'add', source: addModel(), cache: { maxBytes: 100_000 } },
      { name: 'total', source: totalModel(), sequences: { state: { s: 'next' } } },
    ],
  })
  server.subscribe((event) => void events.push(event))
})
afterAll(() => server.close())

const headerOf = ({ headers }: AnyRequest, name: string): string | undefined =>
  headers instanceof Headers ? (headers.get(name) ?? undefined) : (headers[name] as string | undefined)

type Answers = (request: AnyRequest) => Identity | Promise<Identity>

async function started(host: Host, identify: Answers, prefix = '/ml'): Promise<Connection> {
  const options = { identify, serverTiming: true, dialects: ['open-inference', 'tf-serving'] as const }
  const running = await host.start([{ server, prefix, options }], 'bare')
  const connection = connectTo(running.port)
  onTestFinished(async () => {
    connection.end()
    await running.close()
  })
  return connection
}

const byHeader: Answers = (request) => ({ tenant: headerOf(request, 'x-tenant') })

const step = (start: boolean) => ({
  inputs: [{ name: 'x', shape: [1, 2], datatype: 'FP32', data: [1, 2] }],
  parameters: { sequence_id: 7, sequence_start: start },
})

/** By which something tells a framework's request from any other. */
const OWN: Readonly<Record<string, (request: object) => boolean>> = {
  'Express 4': (request) => 'originalUrl' in request && 'app' in request,
  'Express 5': (request) => 'originalUrl' in request && 'app' in request,
  Fastify: (request) => 'routeOptions' in request && 'log' in request,
  'node:http': (request) => request instanceof IncomingMessage,
  'attach()': (request) => request instanceof IncomingMessage,
  'the fast lane': (request) => request instanceof IncomingMessage && request.socket.remoteAddress === '127.0.0.1',
  'Request and Response': (request) => request instanceof Request,
  Hono: (request) => request instanceof Request,
  'Nest on Express': (request) => 'originalUrl' in request && 'app' in request,
  'Nest on Fastify': (request) => 'routeOptions' in request && 'log' in request,
}

describe.each(HOSTS)('$name', (host) => {
  test('gives the framework’s own request, for those that run a model and for no others', async () => {
    const asked: AnyRequest[] = []
    const { get, post } = await started(host, (request) => {
      asked.push(request)
      return {}
    })
    expect(await get('/ml/v2/health/ready')).toMatchObject({ status: 200 })
    expect(await get('/ml/v2/models/add')).toMatchObject({ status: 200 })
    expect(await post('/ml/v2/models/%/infer', ADD)).toMatchObject({ status: 400 })
    expect(asked).toEqual([])
    expect(await post('/ml/v2/models/add/infer', ADD, { 'x-tenant': 'a' })).toMatchObject({ status: 200 })
    expect(await post('/ml/v1/models/add:predict', { instances: [{ a: [1, 2, 3, 4], b: [1, 1, 1, 1] }] })).toMatchObject({
      status: 200,
    })
    expect(asked).toHaveLength(2)
    expect(asked.every((request) => OWN[host.name]?.(request))).toBe(true)
    expect(asked[0]?.method).toBe('POST')
    expect(asked[0]?.url).toContain('/v2/models/add/infer')
    expect(headerOf(asked[0] as AnyRequest, 'x-tenant')).toBe('a')
  })

  test('a tenant has sequences and kept results of its own', async () => {
    const { post } = await started(host, async (request) => byHeader(request))
    const next = (tenant: string, start = false) => post('/ml/v2/models/total/infer', step(start), { 'x-tenant': tenant })
    expect(await next('a', true)).toMatchObject({ status: 200 })
    for (const other of ['b', 'aa'])
      expect(await next(other)).toMatchObject({ status: 404, json: { code: 'SEQUENCE_NOT_FOUND' } })
    expect(await post('/ml/v2/models/total/infer', step(false))).toMatchObject({ status: 404 })
    expect(await next('a')).toMatchObject({ status: 200, json: { outputs: [{ data: [2, 4] }] } })
    server.purge()
    const isKept = async (tenant: string) =>
      (await post('/ml/v2/models/add/infer', ADD, { 'x-tenant': tenant })).headers['server-timing']?.includes('hit')
    expect([await isKept('a'), await isKept('a'), await isKept('b'), await isKept('b')]).toEqual([false, true, false, true])
  })

  test('what fails to say so refuses the request, in words of ours; the app’s own go to the log', async () => {
    let answer: () => Identity | Promise<Identity> = () => ({})
    const { post } = await started(host, () => answer())
    const secret = 'no such user: 4711'
    const failing = (more: object) => Object.assign(new Error(secret), more)
    const cases: readonly [() => unknown, number, string][] = [
      [() => Promise.reject(failing({ status: 401 })), 401, 'UNAUTHENTICATED'],
      [() => void throwing(failing({ statusCode: 403 })), 403, 'FORBIDDEN'],
      [() => void throwing(failing({ getStatus: () => 401 })), 401, 'UNAUTHENTICATED'],
      [() => void throwing(failing({ status: 200 })), 500, 'IDENTITY_FAILED'],
      [() => void throwing(undefined), 500, 'IDENTITY_FAILED'],
      [() => Promise.reject(failing({})), 500, 'IDENTITY_FAILED'],
      ...[undefined, null, 'a', { tenant: '' }, { tenant: 7 }, { tenant: null }, { tenant: 'a'.repeat(257) }].map(
        (said): [() => unknown, number, string] => [() => said, 500, 'IDENTITY_FAILED'],
      ),
    ]
    for (const [give, status, code] of cases) {
      answer = give as typeof answer
      const reply = await post('/ml/v2/models/add/infer', ADD, { 'x-request-id': 'r-1' })
      expect(reply).toMatchObject({ status, json: { code }, headers: { 'x-request-id': 'r-1' } })
      expect(reply.text).not.toContain('4711')
    }
    // Promised, and then something else than an identity.
    answer = async () => ({ tenant: 7 }) as never
    expect(await post('/ml/v1/models/add:predict', {})).toMatchObject({ status: 500 })
    const told = events.filter((event) => event.type === 'warning' && event.message.includes('request r-1'))
    expect(told.some((event) => event.type === 'warning' && event.message.includes(secret))).toBe(true)
    answer = () => ({ tenant: 'a'.repeat(256) })
    expect(await post('/ml/v2/models/add/infer', ADD)).toMatchObject({ status: 200 })
  })

  test('is asked before the body is read', async () => {
    const { port } = await started(host, async () => Promise.reject(Object.assign(new Error('no'), { status: 401 })))
    const raw = await openSocket(port)
    onTestFinished(() => void raw.socket.destroy())
    await raw.send(
      'POST /ml/v2/models/add/infer HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 50000\r\n\r\n{',
    )
    expect(await raw.answer()).toMatchObject({ status: 401 })
  })
})

function throwing(error: unknown): never {
  throw error
}

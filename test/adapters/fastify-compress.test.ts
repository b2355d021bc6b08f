/** Behind the real `@fastify/compress`, which unpacks requests and leaves their headers, in every order of registration. */

import 'reflect-metadata'
import type { AddressInfo } from 'node:net'
import { PassThrough, type Readable } from 'node:stream'
import { brotliCompressSync, createGunzip, deflateSync, gzipSync } from 'node:zlib'
import compress, { type FastifyCompressOptions } from '@fastify/compress'
import { Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify'
import Fastify, { type FastifyInstance } from 'fastify'
import { createModelServer, type ModelServer } from 'modelmount'
import { modelPlugin } from 'modelmount/fastify'
import { ModelServerModule } from 'modelmount/nestjs'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { addModel } from '../../tools/models.mjs'
import { type Connection, connectTo } from '../support/http.ts'
import { ADD } from './requests.ts'

let server: ModelServer
beforeAll(async () => {
  const models = [{ name: 'add', source: addModel() }]
  server = await createModelServer({ logger: false, strict: true, models, maxBodyBytes: 100_000 })
})
afterAll(() => server.close())

const INFER = '/ml/v2/models/add/infer'
const JSON_TYPE = { 'content-type': 'application/json' }
const packings = { gzip: gzipSync, deflate: deflateSync }

async function listening(app: FastifyInstance): Promise<Connection> {
  await app.listen({ port: 0, host: '127.0.0.1' })
  const connection = connectTo((app.server.address() as AddressInfo).port)
  onTestFinished(async () => {
    connection.end()
    await app.close()
  })
  return connection
}

const models = (): { server: ModelServer; prefix: string; closeServer: false } => ({ server, prefix: '/ml', closeServer: false })

const ORDERS: Readonly<Record<string, (options?: FastifyCompressOptions) => Promise<FastifyInstance>>> = {
  async 'registered before'(options = {}) {
    const app = Fastify()
    await app.register(compress, options)
    await app.register(modelPlugin, models())
    return app
  },
  async 'registered after'(options = {}) {
    const app = Fastify()
    await app.register(modelPlugin, models())
    await app.register(compress, options)
    return app
  },
  async 'registered before, nothing awaited'(options = {}) {
    const app = Fastify()
    void app.register(compress, options)
    void app.register(modelPlugin, models())
    return app
  },
  async 'registered after, nothing awaited'(options = {}) {
    const app = Fastify()
    void app.register(modelPlugin, models())
    void app.register(compress, options)
    return app
  },
  async 'in the same scope'(options = {}) {
    const app = Fastify()
    void app.register(async (scope) => {
      await scope.register(compress, options)
      await scope.register(modelPlugin, models())
    })
    return app
  },
  async 'for routes that ask, as ours are made to'(options = {}) {
    const app = Fastify()
    app.addHook('onRoute', (route) => {
      Object.assign(route, { decompress: {} })
    })
    await app.register(compress, { global: false, ...options })
    await app.register(modelPlugin, models())
    return app
  },
  async 'for routes that ask, as ours do not'(options = {}) {
    const app = Fastify()
    await app.register(compress, { global: false, ...options })
    await app.register(modelPlugin, models())
    return app
  },
}

describe.each(Object.entries(ORDERS))('@fastify/compress %s', (_order, make) => {
  test('packed requests are answered, as plain ones are', async () => {
    const { send } = await listening(await make())
    for (const [name, pack] of Object.entries(packings)) {
      const { status, json } = await send('POST', INFER, pack(JSON.stringify(ADD)), { ...JSON_TYPE, 'content-encoding': name })
      expect([name, status, json]).toEqual([name, 200, expect.objectContaining({ model_name: 'add' })])
    }
    const chunked = { ...JSON_TYPE, 'content-encoding': 'gzip', 'transfer-encoding': 'chunked' }
    expect((await send('POST', INFER, gzipSync(JSON.stringify(ADD)), chunked)).status).toBe(200)
    const identity = { ...JSON_TYPE, 'content-encoding': 'identity' }
    expect((await send('POST', INFER, JSON.stringify(ADD), identity)).status).toBe(200)
    expect((await send('POST', INFER, JSON.stringify(ADD), JSON_TYPE)).status).toBe(200)
  })

  test('a body that is not packed as it says, or half of one, is a 400 and not a request without an answer', async () => {
    const { send } = await listening(await make())
    const headers = { ...JSON_TYPE, 'content-encoding': 'gzip' }
    const packed = gzipSync(JSON.stringify(ADD))
    for (const body of [JSON.stringify(ADD), packed.subarray(0, packed.length - 12)]) {
      const { status, json } = await send('POST', INFER, body, headers)
      expect([status, json]).toEqual([400, expect.objectContaining({ code: 'REQUEST_INVALID' })])
    }
    // The connection is as good as before.
    expect((await send('POST', INFER, packed, headers)).status).toBe(200)
  })

  test('a body that unpacks to more than the limit is a 413', async () => {
    const { send } = await listening(await make())
    const body = gzipSync(JSON.stringify(ADD).padEnd(150_000))
    const { status, json } = await send('POST', INFER, body, { ...JSON_TYPE, 'content-encoding': 'gzip' })
    expect([status, json]).toEqual([413, expect.objectContaining({ code: 'BODY_TOO_LARGE' })])
  })
})

test('a coding that only the plugin knows, and one that it takes for granted', async () => {
  const before = ORDERS['registered before'] as (options?: FastifyCompressOptions) => Promise<FastifyInstance>
  const { send } = await listening(await before())
  const brotli = { ...JSON_TYPE, 'content-encoding': 'br' }
  expect((await send('POST', INFER, brotliCompressSync(JSON.stringify(ADD)), brotli)).status).toBe(200)
  const forced = await listening(await before({ forceRequestEncoding: 'gzip' }))
  expect((await forced.send('POST', INFER, gzipSync(JSON.stringify(ADD)), JSON_TYPE)).status).toBe(200)
})

describe('a hook of the app itself', () => {
  const asked = async (hook: (payload: Readable) => Readable): Promise<number> => {
    const app = Fastify()
    app.addHook('preParsing', async (_request, _reply, payload) => hook(payload as Readable))
    await app.register(modelPlugin, models())
    const { send } = await listening(app)
    const headers = { ...JSON_TYPE, 'content-encoding': 'gzip' }
    return (await send('POST', INFER, gzipSync(JSON.stringify(ADD)), headers)).status
  }

  test('that unpacks, by a stream of zlib or by one that counts as Fastify wants it', async () => {
    expect(await asked((payload) => payload.pipe(createGunzip()))).toBe(200)
    const counting = Object.assign(new PassThrough(), { receivedEncodedLength: 0 })
    expect(await asked((payload) => payload.pipe(createGunzip()).pipe(counting))).toBe(200)
  })

  test('that only looks on leaves the body as packed as it was', async () => {
    expect(await asked((payload) => payload.pipe(new PassThrough()))).toBe(200)
  })
})

test('Nest on Fastify', async () => {
  class AppModule {}
  Module({
    imports: [
      ModelServerModule.forRootAsync({
        useFactory: () => ({ ...server, close: async () => {} }),
        routes: { path: 'ml' },
      }),
    ],
  })(AppModule)
  const adapter = new FastifyAdapter({ forceCloseConnections: true })
  const app = await NestFactory.create<NestFastifyApplication>(AppModule, adapter, { logger: false })
  // Nest brings a Fastify of its own, whose types know nothing of what this one is decorated with.
  await app.register(compress as never)
  await app.listen(0, '127.0.0.1')
  const connection = connectTo((app.getHttpServer().address() as AddressInfo).port)
  onTestFinished(async () => {
    connection.end()
    await app.close()
  })
  const headers = { ...JSON_TYPE, 'content-encoding': 'gzip' }
  const { status, json } = await connection.send('POST', INFER, gzipSync(JSON.stringify(ADD)), headers)
  expect([status, json]).toEqual([200, expect.objectContaining({ model_name: 'add' })])
})

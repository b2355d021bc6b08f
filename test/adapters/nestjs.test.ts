/** Nest's own features: injection, guards, interceptors, versions, shutdown, health. On both platforms. */

import 'reflect-metadata'
import type { AddressInfo } from 'node:net'
import {
  Body,
  type CallHandler,
  type CanActivate,
  Controller,
  type DynamicModule,
  type ExecutionContext,
  Get,
  type INestApplication,
  Inject,
  Injectable,
  Module,
  type NestInterceptor,
  Post,
  RequestTimeoutException,
  type Type,
  VersioningType,
} from '@nestjs/common'
import { type AbstractHttpAdapter, APP_GUARD, NestFactory } from '@nestjs/core'
import { ExpressAdapter } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import { HealthCheckService, TerminusModule } from '@nestjs/terminus'
import { Test } from '@nestjs/testing'
import { createModelServer, type HttpHandler, type ModelServer } from 'modelmount'
import {
  getModelServerToken,
  InjectModel,
  InjectModelServer,
  type ModelHandle,
  ModelServerHealth,
  ModelServerModule,
} from 'modelmount/nestjs'
import { catchError, map, type Observable, TimeoutError, throwError, timeout } from 'rxjs'
import { describe, expect, onTestFinished, test } from 'vitest'
import { addModel, customOpModel, identityModel } from '../../tools/models.mjs'
import { type Connection, connectTo } from '../support/http.ts'
import { constantOf } from '../support/small-models.ts'
import { ADD } from './requests.ts'

const PLATFORMS: { name: string; adapter: () => AbstractHttpAdapter }[] = [
  { name: 'Express', adapter: () => new ExpressAdapter() },
  { name: 'Fastify', adapter: () => new FastifyAdapter({ forceCloseConnections: true }) },
]
const models = [{ name: 'add', source: addModel() }]
const quiet = { logger: false } as const

interface Parts {
  imports?: (DynamicModule | Type<unknown>)[]
  controllers?: Type<unknown>[]
  providers?: NonNullable<Parameters<typeof Module>[0]['providers']>
}

function appModule(parts: Parts): Type<unknown> {
  class AppModule {}
  Module(parts)(AppModule)
  return AppModule
}

async function listen(app: INestApplication): Promise<Connection> {
  await app.listen(0, '127.0.0.1')
  const connection = connectTo((app.getHttpServer().address() as AddressInfo).port)
  onTestFinished(async () => {
    connection.end()
    await app.close()
  })
  return connection
}

async function start(adapter: AbstractHttpAdapter, parts: Parts, configure: (app: INestApplication) => void = () => {}) {
  const app = await NestFactory.create(appModule(parts), adapter, {
    logger: false,
    abortOnError: false,
    forceCloseConnections: true,
  })
  configure(app)
  return { app, connection: await listen(app) }
}

const infer = (connection: Connection, at: string, headers = {}) => connection.post(`${at}/v2/models/add/infer`, ADD, headers)

class Fraud {
  constructor(
    readonly server: ModelServer,
    readonly add: ModelHandle,
  ) {}
}
InjectModelServer()(Fraud, undefined as unknown as string, 0)
InjectModel('add')(Fraud, undefined as unknown as string, 1)
Injectable()(Fraud)

describe('injection', () => {
  test('@InjectModelServer() and @InjectModel() give the server and a handle', async () => {
    const app = await NestFactory.createApplicationContext(
      appModule({ imports: [ModelServerModule.forRoot({ ...quiet, models })], providers: [Fraud] }),
      { logger: false },
    )
    const { server, add } = app.get(Fraud)
    expect(app.get(getModelServerToken())).toBe(server)
    const { outputs } = await add.predict({ a: [[1, 2, 3, 4]], b: [[1, 1, 1, 1]] })
    expect([...(outputs.sum?.data ?? [])]).toEqual([2, 3, 4, 5])
    expect(add.info().state).toBe('ready')
    expect(add.name).toBe('add')
    await app.close()
    // Closed with the app.
    await expect(server.predict('add', {})).rejects.toMatchObject({ code: 'SERVER_CLOSED' })
  })

  test('forRootAsync: dependencies, options or a server; several servers by key; handles by forFeature', async () => {
    class Settings {
      readonly answer = 7
    }
    class SettingsModule {}
    Module({ providers: [Settings], exports: [Settings] })(SettingsModule)
    const one = ModelServerModule.forRootAsync({
      imports: [SettingsModule],
      inject: [Settings],
      useFactory: ({ answer }: Settings) => ({ ...quiet, models: [{ name: 'm', source: constantOf(answer) }] }),
    })
    const two = ModelServerModule.forRootAsync({
      key: 'two',
      useFactory: () => createModelServer({ ...quiet, models: [{ name: 'm', source: constantOf(2) }] }),
    })
    class Both {
      constructor(
        readonly first: ModelHandle,
        readonly second: ModelHandle,
        readonly server: ModelServer,
      ) {}
    }
    Inject('modelmount.model.default.m')(Both, undefined, 0)
    InjectModel('m', 'two')(Both, undefined as unknown as string, 1)
    InjectModelServer('two')(Both, undefined as unknown as string, 2)
    const app = await NestFactory.createApplicationContext(
      // `two` was made before anybody asked for its model, as is a module that loads late.
      appModule({
        imports: [one, two, ModelServerModule.forFeature(['m']), ModelServerModule.forFeature(['m'], 'two')],
        providers: [Both],
      }),
      { logger: false },
    )
    const { first, second, server } = app.get(Both)
    expect((await first.predict({})).outputs.y?.data[0]).toBe(7)
    expect((await second.predict({})).outputs.y?.data[0]).toBe(2)
    expect(server.model('m').state).toBe('ready')
    await app.close()
  })

  test('options that are wrong, and models that must load, stop the app from starting', async () => {
    const create = (options: object) =>
      NestFactory.createApplicationContext(appModule({ imports: [ModelServerModule.forRoot({ ...quiet, ...options })] }), {
        logger: false,
        abortOnError: false,
      })
    await expect(create({ models, instances: 0 })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' })
    await expect(create({ models: [{ name: 'x', source: customOpModel() }], strict: true })).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
    })
  })
})

describe.each(PLATFORMS)('on $name', ({ adapter }) => {
  const forRoot = (routes: Parameters<typeof ModelServerModule.forRoot>[0]['routes'] = { path: 'ml' }) =>
    ModelServerModule.forRoot({ ...quiet, models, routes })

  test('global prefix, and versions in the path', async () => {
    const { connection } = await start(adapter(), { imports: [forRoot({ path: 'ml', version: ['1', '2'] })] }, (app) => {
      app.setGlobalPrefix('api')
      app.enableVersioning({ type: VersioningType.URI })
    })
    for (const version of ['v1', 'v2']) expect(await infer(connection, `/api/${version}/ml`)).toMatchObject({ status: 200 })
    for (const path of ['/api/ml', '/ml', '/api/v3/ml']) expect((await infer(connection, path)).status).toBe(404)
    // Large JSON goes past Nest's parser there, too.
    const padded = JSON.stringify(ADD).padEnd(300_000)
    expect((await connection.post('/api/v2/ml/v2/models/add/infer', padded)).status).toBe(200)
  })

  test('a path with parameters', async () => {
    const { connection } = await start(adapter(), { imports: [forRoot({ path: 't/:tenant/ml' })] })
    expect(await infer(connection, '/t/a-b/ml')).toMatchObject({ status: 200 })
    expect((await connection.get('/t/a-b/ml/v2')).json).toMatchObject({ name: 'modelmount' })
  })

  test('guards see the request with its own headers, and refuse it', async () => {
    const seen: unknown[] = []
    const guard: CanActivate = {
      canActivate(context: ExecutionContext) {
        const { headers } = context.switchToHttp().getRequest()
        seen.push(headers['content-type'])
        return headers['x-user'] === 'me'
      },
    }
    const { connection } = await start(adapter(), {
      imports: [forRoot()],
      providers: [{ provide: APP_GUARD, useValue: guard }],
    })
    expect((await infer(connection, '/ml')).status).toBe(403)
    expect((await infer(connection, '/ml', { 'x-user': 'me' })).status).toBe(200)
    const { status } = await connection.send('POST', '/ml/v2/models/add/infer', JSON.stringify(ADD), { 'x-user': 'me' })
    expect(status).toBe(200)
    expect(seen).toEqual(['application/json', 'application/json', undefined])
  })

  test('routes of the app have its parsers, and its answers to what they refuse', async () => {
    class EchoController {
      echo(body: unknown): unknown {
        return body
      }
    }
    Controller()(EchoController)
    const descriptor = Object.getOwnPropertyDescriptor(EchoController.prototype, 'echo') as PropertyDescriptor
    Post('/echo')(EchoController.prototype, 'echo', descriptor)
    Body()(EchoController.prototype, 'echo', 0)
    const parts = { imports: [ModelServerModule.forRoot({ ...quiet, models })], controllers: [EchoController] }
    const { connection } = await start(adapter(), parts)
    expect(await connection.post('/echo', { a: 1 })).toMatchObject({ status: 201, json: { a: 1 } })
    expect(await connection.post('/echo', '{')).toMatchObject({ status: 400, json: { statusCode: 400 } })
    expect(await connection.post('/v2/models/add/infer', '{')).toMatchObject({ status: 400, json: { code: 'REQUEST_INVALID' } })
  })

  test('interceptors run around the answer and cannot change what the protocol says', async () => {
    const log: string[] = []
    const wrap: NestInterceptor = {
      intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
        log.push('before')
        return next.handle().pipe(
          map((value) => {
            log.push('after')
            return { wrapped: value }
          }),
        )
      },
    }
    const { connection } = await start(adapter(), { imports: [forRoot()] }, (app) => void app.useGlobalInterceptors(wrap))
    expect((await infer(connection, '/ml')).json).toMatchObject({ model_name: 'add' })
    expect(log).toEqual(['before', 'after'])
  })

  test('an interceptor that gives up answers first, and aborts the run', async () => {
    let aborted = (): void => {}
    const abort = new Promise<void>((resolve) => {
      aborted = resolve
    })
    const server = await createModelServer({ ...quiet, models })
    const handle: HttpHandler['handle'] = ({ signal }) =>
      new Promise((resolve) =>
        signal?.addEventListener('abort', () => {
          aborted()
          resolve({ status: 200, headers: {}, body: new Uint8Array(1) })
        }),
      )
    const stuck: ModelServer = {
      ...server,
      http: { ...server.http, mount: (options) => ({ ...server.http.mount(options), handle }) },
    }
    const giveUp: NestInterceptor = {
      intercept: (_context: ExecutionContext, next: CallHandler) =>
        next.handle().pipe(
          timeout(20),
          catchError((error) => throwError(() => (error instanceof TimeoutError ? new RequestTimeoutException() : error))),
        ),
    }
    const { connection } = await start(
      adapter(),
      { imports: [ModelServerModule.forRootAsync({ useFactory: () => stuck, routes: { path: 'ml' } })] },
      (app) => void app.useGlobalInterceptors(giveUp),
    )
    expect(await infer(connection, '/ml')).toMatchObject({ status: 408, json: { message: 'Request Timeout' } })
    await abort
  })

  test('two servers in one app, and one without routes', async () => {
    const m = (answer: number) => [{ name: 'm', source: constantOf(answer) }]
    const { connection } = await start(adapter(), {
      imports: [
        ModelServerModule.forRoot({ ...quiet, models: m(1), key: 'one', routes: { path: 'one' } }),
        ModelServerModule.forRoot({ ...quiet, models: m(2), key: 'two', routes: { path: 'two' } }),
        ModelServerModule.forRoot({ ...quiet, models: m(3), key: 'three', routes: false }),
      ],
    })
    const answer = async (at: string) => (await connection.post(`/${at}/v2/models/m/infer`, {})).json
    expect(await answer('one')).toMatchObject({ outputs: [{ data: [1] }] })
    expect(await answer('two')).toMatchObject({ outputs: [{ data: [2] }] })
    expect((await connection.get('/v2')).status).toBe(404)
  })

  test('a testing module serves as the app does', async () => {
    const long = [{ name: 'long', source: identityModel('int64', ['N']) }]
    const module = await Test.createTestingModule({
      imports: [ModelServerModule.forRoot({ ...quiet, models: long, routes: { path: 'ml' } })],
    }).compile()
    const connection = await listen(module.createNestApplication(adapter(), { logger: false, forceCloseConnections: true }))
    const body = '{"inputs":[{"name":"x","shape":[1],"datatype":"INT64","data":[9007199254740993]}]}'
    expect((await connection.post('/ml/v2/models/long/infer', body)).text).toContain('"data":[9007199254740993]')
  })

  test('health for terminus: up, and down with the reason', async () => {
    class HealthController {
      constructor(
        readonly health: HealthCheckService,
        readonly models: ModelServerHealth,
      ) {}
      check() {
        return this.health.check([() => this.models.isHealthy('models')])
      }
    }
    Inject(HealthCheckService)(HealthController, undefined, 0)
    Inject(ModelServerHealth)(HealthController, undefined, 1)
    Get('/health')(
      HealthController.prototype,
      'check',
      Object.getOwnPropertyDescriptor(HealthController.prototype, 'check') as PropertyDescriptor,
    )
    Controller()(HealthController)
    const ask = async (sources: { name: string; source: Uint8Array }[]) => {
      const imports = [TerminusModule.forRoot({ logger: false }), ModelServerModule.forRoot({ ...quiet, models: sources })]
      const { connection } = await start(adapter(), { imports, controllers: [HealthController] })
      return connection.get('/health')
    }
    expect(await ask(models)).toMatchObject({
      status: 200,
      json: { info: { models: { status: 'up', models: { 'add@1': 'ready' } } } },
    })
    expect(await ask([{ name: 'bad', source: customOpModel() }])).toMatchObject({
      status: 503,
      json: { error: { models: { status: 'down', models: { 'bad@1': 'failed' } } } },
    })
  })

  test('closing the app answers what is in flight', async () => {
    const server = await createModelServer({ ...quiet, models })
    let arrived = (): void => {}
    const inside = new Promise<void>((resolve) => {
      arrived = resolve
    })
    let answer = (): void => {}
    const handle: HttpHandler['handle'] = () => {
      arrived()
      return new Promise((resolve) => {
        answer = () => resolve({ status: 200, headers: {}, body: new Uint8Array(1) })
      })
    }
    const slow: ModelServer = {
      ...server,
      http: { ...server.http, mount: (options) => ({ ...server.http.mount(options), handle }) },
    }
    const app = await NestFactory.create(
      appModule({ imports: [ModelServerModule.forRootAsync({ useFactory: () => slow, routes: { path: 'ml' } })] }),
      adapter(),
      { logger: false },
    )
    const connection = await listen(app)
    const answered = infer(connection, '/ml', { connection: 'close' })
    await inside
    const closed = app.close()
    expect(server.health().live).toBe(true)
    answer()
    expect((await answered).status).toBe(200)
    await closed
    expect(server.health().live).toBe(false)
  })
})

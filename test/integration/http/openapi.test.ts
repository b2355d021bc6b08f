/** The OpenAPI document: valid, of the models that serve, its examples answered when they are sent, joined with documents of other tools. */

import swagger from '@fastify/swagger'
import { Controller, Get, Module } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger'
import { Validator } from '@seriousme/openapi-schema-validator'
import fastify from 'fastify'
import { mergeOpenApi, type OpenApiDocument } from 'modelmount'
import { describe, expect, test } from 'vitest'
import { node, value, writeModel } from '../../../tools/onnx-writer.mjs'
import { callerOf } from '../../support/mount.ts'
import { provedServerFor } from '../../support/server.ts'
import { constantOf } from '../../support/small-models.ts'

/** Every element type, an open shape, a scalar, a fixed one. */
const TYPES = [
  'float',
  'double',
  'float16',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'bool',
  'string',
] as const
const wide = writeModel({
  doc: 'takes everything',
  graph: {
    name: 'wide',
    inputs: [...TYPES.map((type) => value(type, type, ['N', 2])), value('scalar', 'float', []), value('any', 'float')],
    outputs: [...TYPES.map((type) => value(`${type} out`, type, ['N', 2])), value('s', 'float', []), value('a', 'float')],
    nodes: [
      ...TYPES.map((type) => node('Identity', [type], [`${type} out`])),
      node('Identity', ['scalar'], ['s']),
      node('Identity', ['any'], ['a']),
    ],
  },
})

const large = writeModel({
  graph: {
    name: 'large',
    inputs: [value('x', 'float', [1, 3, 224, 224])],
    outputs: [value('y', 'float', [1, 3, 224, 224])],
    nodes: [node('Identity', ['x'], ['y'])],
  },
})

const setUp = () =>
  provedServerFor({
    strict: true,
    models: [
      { name: 'wide', source: wide },
      { name: 'large', source: large },
      { name: 'one', version: '1', source: constantOf(1) },
      { name: 'one', version: '2', source: constantOf(2) },
    ],
  })

async function problemsOf(document: object): Promise<unknown> {
  const { valid, errors } = await new Validator().validate(JSON.parse(JSON.stringify(document)))
  return valid ? [] : errors
}

/** Every operation with a body, and the example of that body. */
function* examples({ paths }: OpenApiDocument): Generator<[path: string, example: unknown]> {
  for (const [path, methods] of Object.entries(paths)) {
    const post = methods.post as { requestBody: { content: Record<string, { example?: unknown }> } } | undefined
    if (post) yield [path, post.requestBody.content['application/json']?.example]
  }
}

describe('the document', () => {
  test('is valid, and every path and example of it is answered', async () => {
    const server = await setUp()
    const mount = { dialects: ['open-inference', 'tf-serving', 'mlflow'], mlflow: { model: 'wide' } } as const
    const { get, post } = callerOf(server.http.mount(mount))
    const served = await get('/openapi.json')
    expect(served).toMatchObject({ status: 200, headers: { 'content-type': 'application/json' } })
    const document = served.json as OpenApiDocument
    expect(await problemsOf(document)).toEqual([])
    expect(document).toMatchObject({ openapi: '3.1.0', info: { title: 'modelmount' }, servers: [{ url: '.' }] })
    const { servers, ...rest } = document
    expect(server.openapi(mount)).toEqual({ servers, ...rest })

    const sent: string[] = []
    for (const [path, example] of examples(document)) {
      if (example === undefined) continue
      sent.push(path)
      const { status, text } = await post(path, example, { 'content-type': 'application/json' })
      expect({ path, status, text: status === 200 ? '' : text }).toEqual({ path, status: 200, text: '' })
    }
    expect(sent.sort()).toEqual([
      '/invocations',
      '/v1/models/one/versions/1:predict',
      '/v1/models/one:predict',
      '/v1/models/wide:predict',
      '/v2/models/one/infer',
      '/v2/models/one/versions/1/infer',
      '/v2/models/wide/infer',
    ])
    for (const [path, methods] of Object.entries(document.paths))
      if (methods.get) expect({ path, status: (await get(path)).status }).toEqual({ path, status: 200 })
    const ids = Object.values(document.paths).flatMap((methods) =>
      Object.values(methods).map((operation) => (operation as { operationId: string }).operationId),
    )
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('names the tensors of the graph, and leaves out an example that nobody would paste', async () => {
    const server = await setUp()
    const { paths } = server.openapi()
    type Post = { readonly requestBody: { readonly content: { readonly 'application/json': object } } }
    const body = (path: string): object => (paths[path] as unknown as { post: Post }).post.requestBody.content['application/json']
    expect(body('/v2/models/large/infer')).not.toHaveProperty('example')
    const { schema } = body('/v2/models/wide/infer') as { schema: { properties: { inputs: { items: { oneOf: object[] } } } } }
    expect(schema.properties.inputs.items.oneOf[0]).toMatchObject({
      description: '[N, 2]',
      properties: { name: { enum: ['float'] }, datatype: { enum: ['FP32'] }, shape: { minItems: 2, maxItems: 2 } },
    })
  })

  test('a prefix, a title, and only what the mount answers', async () => {
    const server = await setUp()
    const document = server.openapi({ prefix: '/ml', title: 'Orders', version: '7', dialects: ['tf-serving'] })
    expect(document).toMatchObject({ info: { title: 'Orders', version: '7' } })
    expect(document.servers).toBeUndefined()
    expect(Object.keys(document.paths).every((path) => path.startsWith('/ml/v1/models/'))).toBe(true)
    expect(await callerOf(server.http.mount({ openapi: false })).get('/openapi.json')).toMatchObject({ status: 404 })
    expect(() => server.openapi({ prefix: 'ml/' })).toThrowError(expect.objectContaining({ code: 'OPTIONS_INVALID' }))
    expect(() => server.openapi({ speed: 1 } as object)).toThrowError('speed is not an option')
  })

  test('models come and go with the server', async () => {
    const server = await setUp()
    await server.unload('one')
    expect(Object.keys(server.openapi().paths)).not.toContain('/v2/models/one/infer')
    expect(await problemsOf((await provedServerFor({ models: [] })).openapi())).toEqual([])
  })
})

describe('joined', () => {
  test('with the document of @fastify/swagger', async () => {
    const server = await setUp()
    const app = fastify()
    await app.register(swagger, {
      openapi: { openapi: '3.1.0', info: { title: 'Shop', version: '1' } },
      transformObject: (documents) =>
        'openapiObject' in documents
          ? mergeOpenApi(documents.openapiObject, server.openapi({ prefix: '/ml' }))
          : documents.swaggerObject,
    })
    app.get('/orders', () => [])
    await app.ready()
    const document = app.swagger()
    expect(Object.keys(document.paths ?? {})).toEqual(expect.arrayContaining(['/orders', '/ml/v2/models/wide/infer']))
    expect(document.info).toEqual({ title: 'Shop', version: '1' })
    expect(await problemsOf(document)).toEqual([])
    await app.close()
  })

  test('with the document of @nestjs/swagger', async () => {
    class Orders {
      all(): string[] {
        return []
      }
    }
    // Decorators by hand: the test runs as it is written, without a compiler for them.
    Get()(Orders.prototype, 'all', Object.getOwnPropertyDescriptor(Orders.prototype, 'all') as PropertyDescriptor)
    Controller('orders')(Orders)
    class App {}
    Module({ controllers: [Orders] })(App)
    const server = await setUp()
    const app = await NestFactory.create(App, { logger: false })
    const own = SwaggerModule.createDocument(app, new DocumentBuilder().setTitle('Shop').addTag('models', 'mine').build())
    const document = mergeOpenApi(own, server.openapi({ prefix: '/ml' }))
    expect(Object.keys(document.paths)).toEqual(expect.arrayContaining(['/orders', '/ml/v2/models/wide/infer']))
    expect(document.tags).toEqual([
      { name: 'models', description: 'mine' },
      { name: 'health', description: 'Probes' },
    ])
    expect(await problemsOf(document)).toEqual([])
    expect(Object.keys(own.paths)).toEqual(['/orders'])
    await app.close()
  })
})

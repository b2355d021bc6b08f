/** The checks of `nest-versions.mjs` on one version of Nest; run beside it. */

import 'reflect-metadata'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { gzipSync } from 'node:zlib'
import { Controller, Get, Inject, Module, UnauthorizedException, VersioningType } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { ExpressAdapter } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import { HealthCheckService, TerminusModule } from '@nestjs/terminus'
import { getModelServerToken, InjectModel, ModelServerHealth, ModelServerModule } from 'modelmount/nestjs'

const require = createRequire(import.meta.url)
const { version } = JSON.parse(readFileSync(new URL('package.json', `file://${require.resolve('@nestjs/core')}`), 'utf8'))
const models = [{ name: 'penguins', source: new Uint8Array(readFileSync('score.onnx')) }]
const ROW = { name: 'features', shape: [1, 4], datatype: 'FP32' }
const GENTOO = [46.1, 13.2, 211, 4500]
const JSON_BODY = JSON.stringify({ inputs: [{ ...ROW, data: GENTOO }] })

class App {
  constructor(model, health, indicator) {
    Object.assign(this, { model, health, indicator })
  }
  async own() {
    return (await this.model.predict({ features: [GENTOO] })).outputs.probabilities.data.length
  }
  check() {
    return this.health.check([() => this.indicator.isHealthy()])
  }
}
InjectModel('penguins')(App, undefined, 0)
Inject(HealthCheckService)(App, undefined, 1)
Inject(ModelServerHealth)(App, undefined, 2)
const describe = (name) => Object.getOwnPropertyDescriptor(App.prototype, name)
Get('/own')(App.prototype, 'own', describe('own'))
Get('/health')(App.prototype, 'check', describe('check'))
Controller()(App)

let failures = 0
async function check(platform, what, ask) {
  let outcome = 'ok'
  try {
    const got = await ask()
    if (got !== true) outcome = `FAILED: got ${got}`
  } catch (error) {
    outcome = `FAILED: ${error?.message ?? error}`
  }
  if (outcome !== 'ok') failures++
  console.log(`Nest ${version}, ${platform}: ${what}: ${outcome}`)
}

for (const [platform, adapter] of [
  ['Express', () => new ExpressAdapter()],
  ['Fastify', () => new FastifyAdapter({ forceCloseConnections: true })],
]) {
  class AppModule {}
  Module({
    imports: [TerminusModule, ModelServerModule.forRoot({ models, logger: false, routes: { path: 'ml', version: '1' } })],
    controllers: [App],
  })(AppModule)
  const app = await NestFactory.create(AppModule, adapter(), { logger: ['error', 'warn'], abortOnError: false })
  app.setGlobalPrefix('api', { exclude: ['own', 'health'] })
  app.enableVersioning({ type: VersioningType.URI })
  app.useGlobalGuards({
    canActivate(context) {
      if (context.switchToHttp().getRequest().headers['x-deny']) throw new UnauthorizedException()
      return true
    },
  })
  await app.listen(0, '127.0.0.1')
  const url = `http://127.0.0.1:${app.getHttpServer().address().port}`
  const at = `${url}/api/v1/ml/v2`
  const infer = (body, headers = {}) => fetch(`${at}/models/penguins/infer`, { method: 'POST', body, headers })
  const json = { 'content-type': 'application/json' }
  const isGentoo = async (response) => response.status === 200 && (await response.json()).outputs[0].data[2] > 0.99
  const status = async (response, wanted) => ((await response).status === wanted ? true : (await response).status)

  await check(platform, 'a prediction', async () => isGentoo(await infer(JSON_BODY, json)))
  await check(platform, 'no content type', async () => isGentoo(await infer(Buffer.from(JSON_BODY))))
  await check(platform, 'JSON over 100 kB', async () => isGentoo(await infer(JSON_BODY.padEnd(300_000), json)))
  await check(platform, 'compressed', async () =>
    isGentoo(await infer(gzipSync(JSON_BODY), { ...json, 'content-encoding': 'gzip' })),
  )
  await check(platform, 'binary tensors', async () => {
    const head = Buffer.from(JSON.stringify({ inputs: [{ ...ROW, parameters: { binary_data_size: 16 } }] }))
    const body = Buffer.concat([head, Buffer.from(Float32Array.from(GENTOO).buffer)])
    const headers = { 'inference-header-content-length': String(head.length), 'content-type': 'application/octet-stream' }
    return isGentoo(await infer(body, headers))
  })
  await check(platform, 'broken JSON', () => status(infer('{', json), 400))
  await check(
    platform,
    'an unknown path below ours',
    async () => (await (await fetch(`${at}/nope`)).json()).code === 'ROUTE_NOT_FOUND',
  )
  await check(platform, 'the exact root', () => status(fetch(at), 200))
  await check(platform, 'HEAD', () => status(fetch(at, { method: 'HEAD' }), 200))
  await check(platform, 'OPTIONS', () => status(fetch(at, { method: 'OPTIONS' }), 204))
  await check(platform, 'a wrong method', () => status(fetch(at, { method: 'DELETE' }), 405))
  await check(platform, 'a guard', () => status(infer(JSON_BODY, { ...json, 'x-deny': 'yes' }), 401))
  await check(platform, 'outside the prefix', () => status(fetch(`${url}/ml/v2`), 404))
  await check(platform, '@InjectModel', async () => (await (await fetch(`${url}/own`)).text()) === '3')
  await check(platform, 'health: up', () => status(fetch(`${url}/health`), 200))
  const server = app.get(getModelServerToken())
  await server.unload('penguins')
  await server.load({ name: 'other', source: new Uint8Array([1, 2, 3]) }).catch(() => {})
  await check(platform, 'health: down', () => status(fetch(`${url}/health`), server.health().ready ? 200 : 503))
  await app.close()
  await check(platform, 'closes with the app', async () => server.health().live === false)
}
process.exitCode = failures > 0 ? 1 : 0

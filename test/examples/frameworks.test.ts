/** The small examples: they start, answer over the protocol and by their own routes, and end. */

import 'reflect-metadata'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { NestFactory } from '@nestjs/core'
import { ExpressAdapter } from '@nestjs/platform-express'
import { FastifyAdapter } from '@nestjs/platform-fastify'
import { createClient } from 'modelmount/client'
import { expect, onTestFinished, test } from 'vitest'
import { createApp } from '../../examples/fastify/app.ts'
import { AppModule } from '../../examples/nestjs/app.module.ts'
import { connectTo } from '../support/http.ts'

const GENTOO = [46.1, 13.2, 211, 4500]

async function expectPenguins(http: Server, close: () => Promise<unknown>): Promise<void> {
  const { port } = http.address() as AddressInfo
  const connection = connectTo(port)
  onTestFinished(async () => {
    connection.end()
    await close()
  })
  const { outputs } = await createClient({ url: `http://127.0.0.1:${port}/ml` }).predict('penguins', { features: [GENTOO] })
  expect(outputs.probabilities?.data[2]).toBeGreaterThan(0.99)
  expect((await connection.post('/species', { features: GENTOO })).json).toEqual({ species: 'Gentoo' })
  expect((await connection.post('/species', { features: [1] })).status).toBe(400)
}

test('Fastify', async () => {
  const app = await createApp()
  await app.listen({ port: 0, host: '127.0.0.1' })
  await expectPenguins(app.server, () => app.close())
})

test.each([
  ['Express', () => new ExpressAdapter()],
  ['Fastify', () => new FastifyAdapter({ forceCloseConnections: true })],
])('Nest on %s', async (_name, adapter) => {
  const app = await NestFactory.create(AppModule, adapter(), { logger: false, forceCloseConnections: true })
  await app.listen(0, '127.0.0.1')
  await expectPenguins(app.getHttpServer(), () => app.close())
  const { port } = app.getHttpServer().address() as AddressInfo
  const connection = connectTo(port)
  expect(await connection.get('/health')).toMatchObject({ status: 200, json: { info: { models: { status: 'up' } } } })
  connection.end()
})

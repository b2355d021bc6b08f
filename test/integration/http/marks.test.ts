/** An answer's facts beside its body: the request's id, and where its time went. */

import { ConsoleLogger } from '@nestjs/common'
import type { HttpHandler } from 'modelmount'
import { expect, test } from 'vitest'
import { addModel } from '../../../tools/models.mjs'
import { serverFor } from '../../support/server.ts'

const tensor = (name: string) => ({ name, shape: [1, 4], datatype: 'FP32', data: [1, 2, 3, 4] })
const BODY = Buffer.from(JSON.stringify({ inputs: [tensor('a'), tensor('b')] }))
const infer = (mount: HttpHandler, headers: Record<string, string | string[]> = {}, model = 'add') =>
  mount.handle({ method: 'POST', path: `/v2/models/${model}/infer`, headers, body: BODY })

test('the id that a proxy gave comes back, with answers and with errors; a hostile one does not', async () => {
  const server = await serverFor({ models: [{ name: 'add', source: addModel() }] })
  const ids = async (headers: Record<string, string | string[]>) =>
    Promise.all(['add', 'none'].map(async (model) => (await infer(server.http, headers, model)).headers['x-request-id']))
  const id = 'b7c1a2d4-0000-4a1b:retry.1/eu+x=@'
  expect(await ids({ 'x-request-id': id })).toEqual([id, id])
  for (const hostile of ['', 'a b', 'x\r\nset-cookie: a=b', '\u0000', '<script>', 'ä', 'x'.repeat(129), 'x'.repeat(1_000_000)])
    expect(await ids({ 'x-request-id': hostile })).toEqual([undefined, undefined])
  expect(await ids({ 'x-request-id': ['a', 'b'] })).toEqual([undefined, undefined])
  expect(await ids({})).toEqual([undefined, undefined])
})

test('a defect has the id in its answer and, with its reason, in the log; the answer has nothing of the reason', async () => {
  const fails = async () => {
    throw new Error('a reason of ours')
  }
  const server = await serverFor({ models: [], telemetry: { metricsText: fails } })
  const events: unknown[] = []
  server.subscribe((event) => void events.push(event))
  const mount = server.http.mount({ metrics: true })
  const ask = (id: string) => mount.handle({ method: 'GET', path: '/metrics', headers: { 'x-request-id': id } })
  const [known, hostile] = [await ask('r-17'), await ask('r\n18')]
  for (const { status, body } of [known, hostile]) {
    expect(status).toBe(500)
    expect(JSON.parse(Buffer.from(body).toString())).toEqual({ error: 'internal error', code: 'INTERNAL' })
  }
  expect([known.headers['x-request-id'], hostile.headers['x-request-id']]).toEqual(['r-17', undefined])
  const message = (id: string) => expect.stringMatching(new RegExp(`^internal error${id}: Error: a reason of ours`))
  expect(events).toEqual(['\\(request r-17\\)', ''].map((id) => ({ type: 'warning', message: message(id && ` ${id}`) })))
  // For an adapter's own refusals, too.
  const early = mount.error(new Error('early'), '/v2', { 'x-request-id': 'r-19' })
  expect(early).toMatchObject({ status: 500, headers: { 'x-request-id': 'r-19' } })
  // Listeners are told in a microtask.
  await Promise.resolve()
  expect(events.at(-1)).toMatchObject({ message: expect.stringContaining('(request r-19): Error: early') })
})

test('Server-Timing is told by a mount that was asked to', async () => {
  const server = await serverFor({ models: [{ name: 'add', source: addModel(), cache: { maxBytes: 10_000 } }] })
  expect((await infer(server.http)).headers['server-timing']).toBeUndefined()
  const mount = server.http.mount({ serverTiming: true })
  expect((await infer(mount)).headers['server-timing']).toMatch(/^cache;desc=hit, total;dur=\d+\.\d\d$/)
  server.purge()
  expect((await infer(mount)).headers['server-timing']).toMatch(/^queue;dur=\d+\.\d\d, infer;dur=\d+\.\d\d, total;dur=\d+\.\d\d$/)
  expect((await infer(mount, {}, 'none')).headers['server-timing']).toBeUndefined()
  expect((await mount.handle({ method: 'GET', path: '/v2', headers: {} })).headers['server-timing']).toBeUndefined()
})

test('a logger that is none is refused, Nest’s own is taken', async () => {
  await expect(serverFor({ models: [], logger: { warn() {}, error() {} } as never })).rejects.toMatchObject({
    message: 'logger must be false or have the methods info (or log), warn and error',
  })
  await serverFor({ models: [], logger: new ConsoleLogger('models', { logLevels: [] }) })
})

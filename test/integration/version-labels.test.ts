/** Labels: names for versions that move while requests come in, and never to what cannot answer. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createModelServer, type ModelServer } from 'modelmount'
import { expect, onTestFinished, test } from 'vitest'
import { serverFor } from '../support/server.ts'
import { constantOf } from '../support/small-models.ts'

const m = (version: string, versionLabels?: Readonly<Record<string, string>>) => ({
  name: 'm',
  version,
  source: constantOf(Number(version)),
  ...(versionLabels ? { versionLabels } : {}),
})

/** Which version answers. */
const by = async (server: ModelServer, label: string): Promise<unknown> =>
  (await server.predict('m', {}, { label })).outputs.y?.data[0]

test('a label is a version, until it moves', async () => {
  const server = await serverFor({ models: [m('3', { stable: '3' }), m('4', { canary: '4', next: '4' })] })
  expect([await by(server, 'stable'), await by(server, 'canary')]).toEqual([3, 4])
  expect(server.model('m', '4')).toMatchObject({ isDefault: true, versionLabels: ['canary', 'next'] })
  server.setVersionLabel('m', 'stable', '4')
  expect(await by(server, 'stable')).toBe(4)
  expect(server.model('m', '4').versionLabels).toEqual(['stable', 'canary', 'next'])
  expect(server.model('m', '3').versionLabels).toBeUndefined()
  server.setVersionLabel('m', 'stable', '3')
  expect(await by(server, 'stable')).toBe(3)
  server.setVersionLabel('m', 'next', undefined)
  await expect(by(server, 'next')).rejects.toMatchObject({
    code: 'LABEL_NOT_FOUND',
    message: "model 'm' has no label 'next'; it has 'stable', 'canary'",
  })
})

test('labels go with the last version of their model', async () => {
  const server = await serverFor({ models: [m('3', { stable: '3' })] })
  await server.unload('m', '3')
  await server.load(m('3'))
  await expect(by(server, 'stable')).rejects.toMatchObject({ code: 'LABEL_NOT_FOUND' })
})

test('what is asked for or told wrongly', async () => {
  const server = await serverFor({ models: [m('3')] })
  const code = (call: () => unknown): unknown => {
    try {
      return call()
    } catch (error) {
      return (error as { code?: unknown }).code
    }
  }
  await expect(by(server, '__proto__')).rejects.toMatchObject({ code: 'LABEL_NOT_FOUND' })
  await expect(server.predict('nope', {}, { label: 'stable' })).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
  await expect(server.predict('m', {}, { label: 'stable', version: '3' })).rejects.toMatchObject({
    code: 'OPTIONS_INVALID',
    message: 'opts.version and opts.label exclude each other',
  })
  await expect(server.predict('m', {}, { label: 3 as never })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' })
  expect(code(() => server.setVersionLabel('m', 'stable', '9'))).toBe('VERSION_NOT_FOUND')
  expect(code(() => server.setVersionLabel('nope', 'stable', '3'))).toBe('MODEL_NOT_FOUND')
  expect(code(() => server.setVersionLabel('nope', 'stable', undefined))).toBe('MODEL_NOT_FOUND')
  expect(code(() => server.setVersionLabel('m', 'a/b', '3'))).toBe('OPTIONS_INVALID')
  expect(server.model('m').versionLabels).toBeUndefined()
})

test('two specs of one model must not contradict each other', async () => {
  await expect(
    createModelServer({ models: [m('3', { stable: '3' }), m('4', { stable: '4' })], logger: false }),
  ).rejects.toMatchObject({
    code: 'OPTIONS_INVALID',
    message: "models[1].versionLabels.stable is '4', but another version of 'm' says '3'",
  })
})

test('a load moves a label once its version is ready, and a failed one does not', async () => {
  const server = await serverFor({ models: [m('3', { stable: '3' })] })
  const broken = { ...m('4', { stable: '4', canary: '4' }), source: Uint8Array.of(1, 2, 3) }
  await expect(server.load(broken)).rejects.toMatchObject({ code: 'MODEL_INVALID' })
  expect(await by(server, 'stable')).toBe(3)
  // A label that is new says what it waits for.
  await expect(by(server, 'canary')).rejects.toMatchObject({ code: 'MODEL_NOT_READY' })
  await server.load(m('4', { stable: '4' }))
  expect([await by(server, 'stable'), await by(server, 'canary')]).toEqual([4, 4])
})

test('a label whose version is gone says so, and works again when it is back', async () => {
  const server = await serverFor({ models: [m('3', { stable: '3' }), m('4')] })
  await server.unload('m', '3')
  await expect(by(server, 'stable')).rejects.toMatchObject({
    code: 'VERSION_NOT_FOUND',
    message: "label 'stable' of model 'm' points at version '3', which is not there",
  })
  await server.load(m('3'))
  expect(await by(server, 'stable')).toBe(3)
  await server.unload('m')
  await server.load(m('3'))
  await expect(by(server, 'stable')).rejects.toMatchObject({ code: 'LABEL_NOT_FOUND' })
})

test('model.json says labels of all its versions, and a reload moves them', async () => {
  const root = mkdtempSync(join(tmpdir(), 'labels-test-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  const put = (version: string): void => {
    mkdirSync(join(root, 'm', version), { recursive: true })
    writeFileSync(join(root, 'm', version, 'model.onnx'), constantOf(Number(version)))
  }
  const say = (versionLabels: object): void => writeFileSync(join(root, 'm', 'model.json'), JSON.stringify({ versionLabels }))
  put('3')
  put('4')
  say({ stable: '3', canary: '4' })
  const server = await serverFor({ repository: root })
  const handler = server.http.mount({ dialects: ['open-inference', 'tf-serving'], management: true })
  const post = async (path: string, body: object) => {
    const bytes = new TextEncoder().encode(JSON.stringify(body))
    const answer = await handler.handle({ method: 'POST', path, headers: {}, body: bytes })
    return { status: answer.status, text: Buffer.from(answer.body).toString() }
  }
  expect([await by(server, 'stable'), await by(server, 'canary')]).toEqual([3, 4])
  put('5')
  say({ stable: '4', canary: '5' })
  expect(await post('/v2/repository/models/m/load', {})).toMatchObject({ status: 200 })
  expect([await by(server, 'stable'), await by(server, 'canary')]).toEqual([4, 5])
  expect(await post('/v1/models/m/labels/stable/versions/4:predict', {})).toMatchObject({ status: 400 })
})

test('telemetry is told the label, from code and over HTTP', async () => {
  const begun: unknown[] = []
  const server = await serverFor({
    models: [m('3', { stable: '3' })],
    telemetry: { begin: ({ version, label }) => void begun.push([version, label]) },
  })
  await by(server, 'stable')
  await server.predict('m', {})
  const handler = server.http.mount({ dialects: ['tf-serving'] })
  const body = new TextEncoder().encode('{"inputs":{}}')
  await handler.handle({ method: 'POST', path: '/v1/models/m/labels/stable:predict', headers: {}, body })
  expect(begun).toEqual([
    ['3', 'stable'],
    ['3', undefined],
    ['3', 'stable'],
  ])
})

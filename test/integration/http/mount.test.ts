/** Mounts: which paths they own, how they answer HEAD, OPTIONS and what they do not know. */

import { createModelServer, type ModelServer, type MountOptions } from 'modelmount'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { addModel } from '../../../tools/models.mjs'
import { callerOf } from '../../support/mount.ts'

let server: ModelServer
beforeAll(async () => {
  server = await createModelServer({ logger: false, models: [{ name: 'add', source: addModel() }] })
})
afterAll(() => server.close())

describe('the default mount', () => {
  test('is server.http itself', async () => {
    const { get } = callerOf(server.http)
    expect(await get('/v2')).toMatchObject({ status: 200, json: { name: 'modelmount' } })
    expect(server.http.owns('/v2')).toBe(true)
    expect(server.http.owns('/v2/anything')).toBe(true)
    for (const path of ['/', '/v1/models/add', '/v2x', '/V2', '/ping', '/invocations', '/metrics', ''])
      expect([path, server.http.owns(path)]).toEqual([path, false])
  })

  test('an answer names its length; HEAD answers with the headers of GET and no body', async () => {
    const { get, send } = callerOf(server.http)
    for (const path of ['/v2', '/v2/models/add', '/v2/health/ready', '/v2/models/nope', '/v2/nope']) {
      const full = await get(path)
      expect(full.headers['content-length']).toBe(String(full.body.byteLength))
      const head = await send('HEAD', path)
      expect({ status: head.status, headers: head.headers }).toEqual({ status: full.status, headers: full.headers })
      expect(head.body).toHaveLength(0)
    }
    const empty = await send('OPTIONS', '/v2')
    expect(empty).toMatchObject({ status: 204, headers: { allow: 'GET, HEAD, OPTIONS' } })
    expect(empty.headers['content-length']).toBeUndefined()
  })

  test('wrong methods and unknown paths', async () => {
    const { send } = callerOf(server.http)
    expect(await send('DELETE', '/v2/models/add')).toMatchObject({
      status: 405,
      headers: { allow: 'GET, HEAD, OPTIONS' },
      json: { code: 'METHOD_NOT_ALLOWED' },
    })
    expect(await send('HEAD', '/v2/models/add/infer')).toMatchObject({ status: 405, headers: { allow: 'POST, OPTIONS' } })
    for (const path of ['/v2/nope', '/elsewhere', ''])
      expect(await send('OPTIONS', path)).toMatchObject({ status: 404, json: { code: 'ROUTE_NOT_FOUND' } })
  })

  test('errors from before the core', () => {
    const error = server.http.error({
      [Symbol.for('modelmount.error')]: true,
      code: 'QUOTA_EXCEEDED',
      status: 429,
      message: 'too many',
      retryAfterS: 7,
    })
    expect(error).toMatchObject({ status: 429, headers: { 'retry-after': '7', 'content-type': 'application/json' } })
  })
})

describe('options', () => {
  test('all problems at once', () => {
    const wrong = { dialects: ['v2', 'mlflow', 'mlflow'], management: 1, nonsense: true } as unknown as MountOptions
    expect(() => server.http.mount(wrong)).toThrowError(
      expect.objectContaining({
        code: 'OPTIONS_INVALID',
        details: {
          problems: [
            "dialects[0] must be one of 'open-inference', 'tf-serving', 'mlflow', got \"v2\"",
            'management must be true or false, got 1',
            expect.stringMatching(/^nonsense is not an option; known are dialects, management, /),
          ],
        },
      }),
    )
    expect(() =>
      server.http.mount({ dialects: ['tf-serving', 'tf-serving'], management: true, mlflow: { model: 'add' } }),
    ).toThrowError(
      expect.objectContaining({
        details: {
          problems: [
            "dialects[1] is a second 'tf-serving'",
            "management needs 'open-inference' among the dialects: its routes are below /v2",
            "mlflow needs 'mlflow' among the dialects",
          ],
        },
      }),
    )
  })
})

/** Management routes take nothing that a page of another site can make a browser send; clients that are no browsers pass. */

import type { OutgoingHttpHeaders } from 'node:http'
import { createModelServer, type ModelServer } from 'modelmount'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { addModel } from '../../tools/models.mjs'
import { connectTo } from '../support/http.ts'
import { HOSTS } from './hosts.ts'

let server: ModelServer
beforeAll(async () => {
  server = await createModelServer({ logger: false, strict: true, models: [{ name: 'add', source: addModel() }] })
})
afterAll(() => server.close())

const JSON_TYPE = { 'content-type': 'application/json' }

/** With what they are refused. */
const REFUSED: readonly (readonly [OutgoingHttpHeaders, number, string])[] = [
  [{ ...JSON_TYPE, origin: 'https://evil.example' }, 403, 'CROSS_SITE'],
  [{ 'content-type': 'text/plain', origin: 'https://evil.example' }, 403, 'CROSS_SITE'],
  [{ origin: 'null' }, 403, 'CROSS_SITE'],
  [{ origin: 'not an origin' }, 403, 'CROSS_SITE'],
  // Its own host as a part of a longer one, on another port, or as a user's name.
  [{ origin: 'http://127.0.0.1.evil.example' }, 403, 'CROSS_SITE'],
  [{ origin: 'http://127.0.0.1:1' }, 403, 'CROSS_SITE'],
  [{ origin: 'http://127.0.0.1@evil.example' }, 403, 'CROSS_SITE'],
  [{ ...JSON_TYPE, 'sec-fetch-site': 'cross-site' }, 403, 'CROSS_SITE'],
  [{ ...JSON_TYPE, 'sec-fetch-site': 'same-site' }, 403, 'CROSS_SITE'],
  [{ 'content-type': 'text/plain' }, 415, 'MEDIA_TYPE_UNSUPPORTED'],
  [{ 'content-type': 'text/plain;charset=UTF-8', 'sec-fetch-site': 'none' }, 415, 'MEDIA_TYPE_UNSUPPORTED'],
  [{ 'content-type': 'application/x-www-form-urlencoded' }, 415, 'MEDIA_TYPE_UNSUPPORTED'],
  [{ 'content-type': 'multipart/form-data; boundary=x' }, 415, 'MEDIA_TYPE_UNSUPPORTED'],
]

const passing = (port: number): readonly OutgoingHttpHeaders[] => [
  JSON_TYPE,
  // As tritonclient sends it: no type in its usual form, bytes in the asynchronous one.
  {},
  { 'content-type': 'application/octet-stream' },
  { ...JSON_TYPE, origin: `http://127.0.0.1:${port}` },
  { ...JSON_TYPE, 'sec-fetch-site': 'same-origin', origin: 'https://behind-a-proxy.example' },
  { 'sec-fetch-site': 'none' },
]

const ROUTES = ['index', 'models/add/load', 'models/add/unload'].map((path) => `/ml/v2/repository/${path}`)

describe.each(HOSTS)('$name', (host) => {
  test('management', async () => {
    const running = await host.start([{ server, prefix: '/ml', options: { management: true } }], 'bare')
    const { send, port, end } = connectTo(running.port)
    onTestFinished(async () => {
      end()
      await running.close()
    })
    for (const route of ROUTES)
      for (const [headers, status, code] of REFUSED)
        expect([headers, await send('POST', route, '{}', headers)]).toMatchObject([headers, { status, json: { code } }])
    expect(server.health()).toMatchObject({ ready: true, models: [{ name: 'add', state: 'ready' }] })
    for (const headers of passing(port))
      expect([headers, await send('POST', '/ml/v2/repository/index', '{}', headers)]).toMatchObject([headers, { status: 200 }])
    // Not where it would change nothing: a browser may ask what anybody may ask.
    const elsewhere = await send('GET', '/ml/v2/health/ready', undefined, { origin: 'https://other.example' })
    expect(elsewhere).toMatchObject({ status: 200 })
  })
})

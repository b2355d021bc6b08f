/** One mount over time: its memory, and its reports of its own faults. */

import { describe, expect, onTestFinished, test } from 'vitest'
import { json, type Route } from '../../../src/core/dialects/index.ts'
import { ModelmountError } from '../../../src/core/errors.ts'
import { createHandler } from '../../../src/core/http/handler.ts'
import { createInFlight } from '../../../src/core/http/inflight.ts'
import { addModel } from '../../../tools/models.mjs'
import { ADD } from '../../adapters/requests.ts'
import { watch } from '../../support/events.ts'
import { callerOf } from '../../support/mount.ts'
import { NO_PREDICTIONS } from '../../support/no-predictions.ts'
import { serverFor } from '../../support/server.ts'

const LONG = '/v2/models/'

function mount(handle: Route['handle'] = ({ params }) => json(200, params)) {
  let searches = 0
  const pattern = /^\/v2\/models\/(?<model>[^/]+)$/
  const exec = pattern.exec.bind(pattern)
  pattern.exec = (path) => {
    searches++
    return exec(path)
  }
  const reported: [ModelmountError, string | undefined][] = []
  const deps = {
    ...NO_PREDICTIONS,
    maxBodyBytes: 1,
    bodyTimeoutMs: 1,
    inFlight: createInFlight(1000),
    report: (...args: [ModelmountError, string?]) => void reported.push([args[0], args[1]]),
  }
  const table = {
    owns: (path: string) => path.startsWith('/v2'),
    routes: [{ method: 'GET', path: pattern, action: 'read', handle }] as const,
  }
  const handler = createHandler([table], deps)
  const searchedFor = async (path: string): Promise<number> => {
    const before = searches
    await handler.handle({ method: 'GET', path, headers: {}, body: undefined })
    return searches - before
  }
  return { call: callerOf(handler), searchedFor, reported }
}

describe('paths', () => {
  test('that were found are remembered, and answered as the first time', async () => {
    const { searchedFor, call } = mount()
    expect(await searchedFor(`${LONG}a`)).toBe(1)
    expect(await searchedFor(`${LONG}a`)).toBe(0)
    expect((await call.get(`${LONG}a%20b`)).json).toEqual({ model: 'a b' })
    expect((await call.get(`${LONG}a%20b`)).json).toEqual({ model: 'a b' })
  })

  test('are remembered within a bound, however many are asked for', async () => {
    const { searchedFor } = mount()
    for (let i = 0; i < 20_000; i++) await searchedFor(`${LONG}${i}`)
    let remembered = 0
    for (let i = 19_999; i >= 0; i--) if ((await searchedFor(`${LONG}${i}`)) === 0) remembered++
    expect(remembered).toBeGreaterThan(0)
    expect(remembered).toBeLessThanOrEqual(1000)
  })

  test('that are long, or lead nowhere, are not remembered at all', async () => {
    const { searchedFor } = mount()
    const longest = LONG + 'n'.repeat(256 - LONG.length)
    for (const [path, searches] of [
      [longest, 0],
      [`${longest}n`, 1],
      ['/v2/nowhere', 1],
      ['/elsewhere', 1],
    ] as const) {
      await searchedFor(path)
      expect([path.length, await searchedFor(path)]).toEqual([path.length, searches])
    }
  })
})

describe('a fault of our own', () => {
  const fault = new TypeError('of ours')
  const failing = mount(() => {
    throw fault
  })
  const id = { 'x-request-id': 'abc-1' }

  test('is reported with the id of the request, and answered with it', async () => {
    const answer = await failing.call.get(`${LONG}a`, id)
    expect(answer).toMatchObject({ status: 500, json: { code: 'INTERNAL' }, headers: id })
    expect(answer.text).not.toContain('of ours')
    const [[error, requestId] = []] = failing.reported.splice(0)
    expect([error?.cause, requestId]).toEqual([fault, 'abc-1'])
  })

  test('is reported without an id that could forge a line of the log', async () => {
    for (const hostile of ['a b', 'a\nb', '', 'x'.repeat(129)]) {
      await failing.call.get(`${LONG}a`, { 'x-request-id': hostile })
      expect(failing.reported.splice(0)).toEqual([[expect.anything(), undefined]])
    }
  })

  test('is all that is reported: a mistake of the caller is not', async () => {
    const { call, reported } = mount(() => {
      throw new ModelmountError('INPUT_INVALID', 'no')
    })
    expect(await call.get(`${LONG}a`, id)).toMatchObject({ status: 400, headers: id })
    expect(reported).toEqual([])
  })

  test('names its request in the event that the server sends', async () => {
    const server = await serverFor({ strict: true, models: [{ name: 'add', source: addModel() }] })
    const events = watch(server)
    const headers = new Proxy({ 'x-request-id': 'abc-2' } as Record<string, string>, {
      get(target, name: string) {
        if (name === 'x-request-timeout-ms') throw new TypeError('a header that cannot be read')
        return target[name]
      },
    })
    onTestFinished(() => server.close())
    const answer = await server.http.mount().handle({
      method: 'POST',
      path: '/v2/models/add/infer',
      headers,
      body: new TextEncoder().encode(JSON.stringify(ADD)),
    })
    expect([answer.status, answer.headers['x-request-id']]).toEqual([500, 'abc-2'])
    expect(events.seen).toContainEqual(
      expect.objectContaining({
        type: 'warning',
        message: expect.stringMatching(/internal error \(request abc-2\).*cannot be read/s),
      }),
    )
  })
})

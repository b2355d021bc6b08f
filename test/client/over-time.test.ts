/** The client over time: its memory, its waits, and its remains. */

import { getEventListeners } from 'node:events'
import { type ClientOptions, createClient, type ModelClient } from 'modelmount/client'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { observe, turns } from '../support/turns.ts'

const METADATA = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1] }],
  outputs: [{ name: 'y', datatype: 'FP32', shape: [-1] }],
}
const ANSWER = { model_name: 'm', outputs: [{ name: 'y', datatype: 'FP32', shape: [1], data: [7] }] }
const x = { x: [1] }

type Reply = () => Response | Promise<Response>
const json =
  (body: unknown, init?: ResponseInit): Reply =>
  () =>
    new Response(JSON.stringify(body), init)
const refusal = (status: number, retryAfter?: string): Reply =>
  json({ error: 'no' }, { status, headers: retryAfter === undefined ? {} : { 'retry-after': retryAfter } })
const unreachable: Reply = () =>
  Promise.reject(new TypeError('fetch failed', { cause: Object.assign(new Error('x'), { code: 'ECONNRESET' }) }))
/** Ends with the signal, as `fetch` does. */
const never = (signal: AbortSignal): Promise<Response> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))

interface Scripted {
  readonly client: ModelClient
  /** Method and path of each request. */
  readonly asked: string[]
}

/** A client whose server follows the scripts: for each kind of path one reply after the other, the last one for ever. */
function scripted(script: { describe?: Reply[]; infer?: (Reply | 'never')[] }, options: Partial<ClientOptions> = {}): Scripted {
  const asked: string[] = []
  const { describe = [json(METADATA)], infer = [json(ANSWER)] } = script
  const next = <T>(list: T[]): T => (list.length > 1 ? list.shift() : list[0]) as T
  const client = createClient({
    url: 'http://server',
    binary: false,
    fetch: async (url, init) => {
      asked.push(`${init?.method} ${new URL(String(url)).pathname}`)
      const reply = next<Reply | 'never'>(init?.method === 'GET' ? describe : infer)
      return reply === 'never' ? never(init?.signal as AbortSignal) : reply()
    },
    ...options,
  })
  return { client, asked }
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'answered',
    (error) => error.code,
  )
const count = (asked: readonly string[], what: string): number => asked.filter((each) => each.startsWith(what)).length

describe('what the server says of its models', () => {
  test.each<readonly [string, Reply]>([
    ['an error', refusal(500)],
    ['no such model', refusal(404)],
    ['nothing at all', unreachable],
    ['something that is not JSON', () => new Response('<html>')],
    ['JSON that is no description', json({ inputs: 'x' })],
  ])('%s is forgotten: the next call asks again', async (_, failure) => {
    const { client, asked } = scripted({ describe: [failure, json(METADATA)] }, { retries: 0 })
    expect(await codeOf(client.predict('m', x))).not.toBe('answered')
    expect((await client.predict('m', x)).outputs.y?.data).toEqual(Float32Array.of(7))
    await client.predict('m', x)
    expect(count(asked, 'GET')).toBe(2)
  })

  test('a failure that comes late takes nothing away from a later answer', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    onTestFinished(() => void vi.useRealTimers())
    let fail = (_: Response): void => {}
    const slow = (): Promise<Response> =>
      new Promise((resolve) => {
        fail = resolve
      })
    const { client, asked } = scripted({ describe: [slow, json(METADATA)] })
    const first = codeOf(client.signature('m'))
    await turns()
    vi.advanceTimersByTime(60_001)
    await client.signature('m')
    fail(new Response('', { status: 500 }))
    expect(await first).not.toBe('answered')
    await client.signature('m')
    expect(count(asked, 'GET')).toBe(2)
  })

  test('is believed for a minute, and asked for once by all who want it', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const { client, asked } = scripted({})
    await Promise.all([client.predict('m', x), client.predict('m', x), client.signature('m')])
    vi.advanceTimersByTime(59_999)
    await client.predict('m', x)
    expect(count(asked, 'GET')).toBe(1)
    vi.advanceTimersByTime(2)
    await client.predict('m', x)
    expect(count(asked, 'GET')).toBe(2)
    await client.predict('m', x, { version: '2' })
    expect(count(asked, 'GET')).toBe(3)
  })

  test('of at most a thousand models something is remembered, the latest', async () => {
    const { client, asked } = scripted({})
    for (let i = 0; i < 2500; i++) await client.signature(`m${i}`)
    expect(asked).toHaveLength(2500)
    let remembered = 0
    for (let i = 2499; i >= 0; i--) {
      const before = asked.length
      await client.signature(`m${i}`)
      if (asked.length === before) remembered++
    }
    expect(remembered).toBeLessThanOrEqual(1000)
    expect(remembered).toBeGreaterThan(900)
  })
})

describe('Retry-After', () => {
  beforeEach(() => {
    // A whole second, as a date in HTTP has.
    vi.useFakeTimers({ toFake: ['Date'], now: Date.UTC(2026, 10, 30, 12, 0, 0) })
    onTestFinished(() => void vi.useRealTimers())
  })
  const refused = (header: string, timeoutMs = 1000) =>
    scripted({ infer: [refusal(503, header)] })
      .client.predict('m', x, { timeoutMs })
      .then(
        () => 'answered',
        (error) => error.retryAfterS,
      )

  test.each([
    ['90', 90],
    ['Mon, 30 Nov 2026 12:01:30 GMT', 90],
    ['Monday, 30-Nov-26 12:01:30 GMT', 90],
    ['Mon Nov 30 12:01:30 2026', 90],
    ['Mon, 30 Nov 2026 13:00:00 GMT', 3600],
  ])('%s', async (header, seconds) => {
    expect(await refused(header)).toBe(seconds)
  })

  test.each(['soon', '-1', '1.5', '1e3', '', 'Mon, 99 Foo 2026 12:00:00 GMT', '2026-11-30T12:01:30Z', '9'.repeat(30)])(
    '%j says nothing: the call is not made again',
    async (header) => {
      const { client, asked } = scripted({ infer: [refusal(503, header)] })
      await expect(client.predict('m', x)).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE', retryAfterS: undefined })
      expect(count(asked, 'POST')).toBe(1)
    },
  )

  test('a date that has passed means now', async () => {
    const { client, asked } = scripted({ infer: [refusal(503, 'Mon, 30 Nov 2026 11:59:00 GMT'), json(ANSWER)] })
    expect((await client.predict('m', x)).model).toBe('m')
    expect(count(asked, 'POST')).toBe(2)
    expect(await refused('Mon, 30 Nov 2026 11:59:00 GMT')).toBe(0)
  })

  test('is kept to: no attempt comes before it', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout', 'performance'], now: Date.UTC(2026, 10, 30, 12, 0, 0) })
    for (const header of ['2', 'Mon, 30 Nov 2026 12:00:02 GMT']) {
      vi.setSystemTime(Date.UTC(2026, 10, 30, 12, 0, 0))
      const { client, asked } = scripted({ infer: [refusal(429, header), json(ANSWER)] })
      const answered = client.predict('m', x)
      await turns()
      await vi.advanceTimersByTimeAsync(1999)
      expect(count(asked, 'POST')).toBe(1)
      await vi.advanceTimersByTimeAsync(501)
      expect((await answered).model).toBe('m')
    }
  })
})

test('a run whose worker died may have happened: it is made again only where that is harmless', async () => {
  const lost = json({ error: 'the worker died', code: 'WORKER_LOST' }, { status: 503, headers: { 'retry-after': '0' } })
  const once = scripted({ infer: [lost, json(ANSWER)] })
  expect(await codeOf(once.client.predict('m', x))).toBe('WORKER_LOST')
  expect(count(once.asked, 'POST')).toBe(1)
  const twice = scripted({ infer: [lost, json(ANSWER)] })
  expect(await codeOf(twice.client.predict('m', x, { idempotent: true }))).toBe('answered')
  const place = { id: 1, start: true }
  expect(
    await codeOf(scripted({ infer: [lost, json(ANSWER)] }).client.predict('m', x, { idempotent: true, sequence: place })),
  ).toBe('WORKER_LOST')
})

describe('after each kind of end', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    onTestFinished(() => void vi.useRealTimers())
  })
  const reset = refusal(503, '0')
  const ends: Readonly<Record<string, readonly [Parameters<typeof scripted>[0], string]>> = {
    'an answer': [{}, 'answered'],
    'a refusal': [{ infer: [refusal(400)] }, 'REQUEST_INVALID'],
    'no connection': [{ infer: [unreachable] }, 'REMOTE_UNREACHABLE'],
    'an answer at the third attempt': [{ infer: [reset, reset, json(ANSWER)] }, 'answered'],
    'a refusal at the third attempt': [{ infer: [reset] }, 'MODEL_UNAVAILABLE'],
    'no answer in time': [{ infer: ['never'] }, 'DEADLINE_EXCEEDED'],
    'no description': [{ describe: [refusal(404)] }, 'MODEL_NOT_FOUND'],
    'an answer that is none': [{ infer: [json({})] }, 'REMOTE_FAILED'],
    'a wait that is too long': [{ infer: [refusal(503, '3600')] }, 'MODEL_UNAVAILABLE'],
  }
  test.each(Object.entries(ends))('%s: no listener and no timer is left', async (_, [script, code]) => {
    const { signal } = new AbortController()
    const { client } = scripted(script)
    const outcome = observe(codeOf(client.predict('m', x, { signal, timeoutMs: 5000 })))
    await turns()
    // No longer than it takes: the rest would end by itself.
    while (!outcome.settled) await vi.advanceTimersByTimeAsync(100)
    expect(await outcome.promise).toBe(code)
    expect(getEventListeners(signal, 'abort')).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('the caller’s signal, at each stage of a call', async () => {
    const stages: Readonly<Record<string, Parameters<typeof scripted>>> = {
      'while the model is asked for': [{ describe: [() => new Promise(() => {})] }],
      'while it is answered': [{ infer: ['never'] }],
      'between two attempts': [{ infer: [refusal(503, '1')] }],
      'while the app makes its headers': [{}, { headers: () => new Promise(() => {}) }],
    }
    for (const [stage, args] of Object.entries(stages)) {
      const abort = new AbortController()
      const { client } = scripted(...args)
      const outcome = codeOf(client.predict('m', x, { signal: abort.signal }))
      await turns()
      abort.abort()
      expect([stage, await outcome]).toEqual([stage, 'ABORTED'])
      expect([stage, getEventListeners(abort.signal, 'abort')]).toEqual([stage, []])
    }
  })

  test('headers that the app never makes end with the call', async () => {
    const { client } = scripted({}, { headers: () => new Promise(() => {}) })
    const outcome = codeOf(client.predict('m', x, { timeoutMs: 1000 }))
    await vi.advanceTimersByTimeAsync(1000)
    expect(await outcome).toBe('DEADLINE_EXCEEDED')
    await vi.advanceTimersByTimeAsync(30_000)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('many calls with one signal are one listener', async () => {
    const abort = new AbortController()
    const { client } = scripted({ infer: ['never'] })
    const outcomes = Array.from({ length: 30 }, () => codeOf(client.predict('m', x, { signal: abort.signal })))
    await turns()
    expect(getEventListeners(abort.signal, 'abort')).toHaveLength(1)
    abort.abort()
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(['ABORTED']))
  })

  test('waits double where the server names no time, and the attempts are bounded', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0)
    onTestFinished(() => void vi.restoreAllMocks())
    const { client, asked } = scripted({ infer: [unreachable] }, { retries: 3 })
    const outcome = codeOf(client.predict('m', x, { idempotent: true }))
    await turns()
    const seen: number[] = []
    for (const ms of [49, 1, 99, 1, 199, 1, 5000]) {
      await vi.advanceTimersByTimeAsync(ms)
      seen.push(count(asked, 'POST'))
    }
    expect(seen).toEqual([1, 2, 2, 3, 3, 4, 4])
    expect(await outcome).toBe('REMOTE_UNREACHABLE')
  })
})

test('a server is ready, or not, without a rejection', async () => {
  const answers: Reply[] = [json({}), refusal(503), unreachable]
  const { client, asked } = scripted({ describe: answers })
  expect([await client.isReady(), await client.isReady('m'), await client.isReady('m', '2')]).toEqual([true, false, false])
  expect(asked).toEqual(['GET /v2/health/ready', 'GET /v2/models/m/ready', 'GET /v2/models/m/versions/2/ready'])
})

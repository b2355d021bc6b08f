/**
 * No body stops the host: for every hostile form in every dialect and coding, what the host's thread does between two turns of its event loop is
 * bounded. It is counted in bytes that were gone through, never in milliseconds.
 */

import { execFile } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createModelServer, type HttpHandler, type HttpResponse, type ModelServer } from 'modelmount'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { HOSTS } from '../../adapters/hosts.ts'
import { type Datatype, hostileBodies, MODELS, MOUNT, nameOf, PATHS } from '../../support/hostile-bodies.ts'
import { connectTo } from '../../support/http.ts'

/** All of them take a minute or two: `npm run test:long` asks each. */
const SHARE = process.env.TEST_LONG ? 1 : 3
/** More than may be gone through between two turns. */
const BYTES = 700_000
/** As large as the defaults allow, nearly. */
const LARGE_BYTES = 12_000_000
/** A slice that is copied, and a short body. */
const MOST_BYTES = 512 * 1024
/** What may be parsed on the host's thread: a body that is short, or the text around numbers. */
const MOST_PARSED = 128 * 1024

let server: ModelServer
let mount: HttpHandler
beforeAll(async () => {
  const models = (Object.keys(MODELS) as Datatype[]).map((datatype) => ({
    name: nameOf(datatype),
    source: MODELS[datatype],
    batching: false as const,
  }))
  server = await createModelServer({ logger: false, strict: true, models })
  mount = server.http.mount(MOUNT)
})
afterAll(() => server.close())

interface Watched {
  readonly bytes: number
  readonly parsed: number
}

/** The most that was done between two turns of the event loop. */
async function watch(work: () => Promise<unknown>): Promise<Watched> {
  let [bytes, parsed, running] = [0, 0, true]
  const most = { bytes: 0, parsed: 0 }
  const onWork = (message: unknown): void => {
    bytes += (message as { readonly bytes: number }).bytes
  }
  const parse = JSON.parse
  JSON.parse = (...args: Parameters<typeof parse>) => {
    parsed += args[0].length
    return parse(...args)
  }
  const turn = (): void => {
    most.bytes = Math.max(most.bytes, bytes)
    most.parsed = Math.max(most.parsed, parsed)
    bytes = 0
    parsed = 0
    if (running) setImmediate(turn)
  }
  subscribe('modelmount:host-work', onWork)
  setImmediate(turn)
  try {
    await work()
    await new Promise((resolve) => setImmediate(resolve))
  } finally {
    running = false
    JSON.parse = parse
    unsubscribe('modelmount:host-work', onWork)
  }
  return most
}

const ask = (request: { path: string; body: unknown; headers?: Record<string, string> }): Promise<HttpResponse> =>
  mount.handle({ method: 'POST', headers: {}, ...request, acceptsRest: true })

test('every route that takes a body is asked', () => {
  const { paths } = server.openapi(MOUNT)
  const posts = Object.keys(paths).filter((path) => 'post' in (paths[path] as object))
  expect(posts.length).toBeGreaterThan(5)
  const generic = (path: string): string => path.replace(/(?<=models\/)[^/:]+/, '*').replace(/\/(?:versions|labels)\/[^/:]+/, '')
  const known = [...PATHS].map(generic)
  for (const path of posts) expect(known).toContain(generic(path))
})

test('every form is answered, and none keeps the event loop', async () => {
  for (const { what, path, body, headers } of hostileBodies(BYTES, SHARE)) {
    let response: HttpResponse | undefined
    const { bytes, parsed } = await watch(async () => {
      response = await ask({ path, body, headers: { ...headers } })
    })
    const { status = 0 } = response ?? {}
    if (status !== 200) {
      const { code } = JSON.parse(Buffer.from(response?.body ?? []).toString()) as { code: string }
      expect([what, status, code]).toEqual([what, expect.any(Number), expect.stringMatching(/INVALID|TOO_LARGE|NOT_FOUND/)])
      expect([what, status < 500]).toEqual([what, true])
    }
    // One string cannot be made in two turns.
    const most = / string,/.test(what) ? MOST_BYTES + BYTES : MOST_BYTES
    expect([what, bytes <= most, parsed <= MOST_PARSED]).toEqual([what, true, true])
  }
}, 300_000)

test('a host with a heap of 256 MB goes on', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'hostile-bodies-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const index = [...hostileBodies(LARGE_BYTES, 5 * SHARE)].map(({ body, ...entry }, i) => {
    writeFileSync(join(dir, `${i}`), body)
    return { ...entry, file: `${i}` }
  })
  writeFileSync(join(dir, 'index.json'), JSON.stringify(index))
  const script = fileURLToPath(new URL('../../support/hostile-host.ts', import.meta.url))
  // Rejects when the child ends otherwise than with 0.
  const { stdout } = await promisify(execFile)(process.execPath, ['--max-old-space-size=256', '--import', 'tsx', script, dir], {
    timeout: 280_000,
  })
  expect(Number(stdout)).toBe(index.length)
}, 300_000)

describe.each(HOSTS)('$name', (host) => {
  test('every coding and dialect: an answer to each, and the host goes on', async () => {
    const { port, close } = await host.start([{ server, prefix: '', options: MOUNT }], 'bare')
    onTestFinished(close)
    const { send, get, end } = connectTo(port)
    onTestFinished(end)
    for (const { what, path, body, headers } of hostileBodies(BYTES, 15 * SHARE)) {
      const { status } = await send('POST', path, body, { 'content-type': 'application/json', ...headers })
      expect([what, status >= 200 && status < 500]).toEqual([what, true])
    }
    expect(await get('/v2/health/live')).toMatchObject({ status: 200 })
  }, 300_000)
})

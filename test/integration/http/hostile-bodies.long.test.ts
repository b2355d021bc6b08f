/**
 * No body stops the host: for every hostile form in every dialect and coding, what the host's thread does between two turns of its event loop is
 * bounded. It is counted in bytes that were gone through, never in milliseconds.
 */

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { HttpHandler, ModelServer } from 'modelmount'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { HOSTS } from '../../adapters/hosts.ts'
import { askEach, BYTES, openHostileServer } from '../../support/each-hostile-body.ts'
import { hostileBodies, MOUNT, PATHS } from '../../support/hostile-bodies.ts'
import { connectTo } from '../../support/http.ts'

/** All of them take a minute or two: `npm run test:long` asks each. */
const SHARE = 5
/** As large as the defaults allow, nearly. */
const LARGE_BYTES = 12_000_000
let server: ModelServer
let mount: HttpHandler
beforeAll(async () => {
  server = await openHostileServer()
  mount = server.http.mount(MOUNT)
})
afterAll(() => server.close())

test('every route that takes a body is asked', () => {
  const { paths } = server.openapi(MOUNT)
  const posts = Object.keys(paths).filter((path) => 'post' in (paths[path] as object))
  expect(posts.length).toBeGreaterThan(5)
  const generic = (path: string): string => path.replace(/(?<=models\/)[^/:]+/, '*').replace(/\/(?:versions|labels)\/[^/:]+/, '')
  const known = [...PATHS].map(generic)
  for (const path of posts) expect(known).toContain(generic(path))
})

test('every form is answered, and none keeps the event loop', () => askEach(mount, SHARE), 300_000)

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

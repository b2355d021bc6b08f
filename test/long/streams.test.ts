/** A hundred thousand mutated byte streams: with the fast lane and without it, a client hears the same as from node:http alone. */

import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createModelServer, type ModelServer } from 'modelmount'
import { attach } from 'modelmount/node'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { addModel } from '../../tools/models.mjs'
import { ADD } from '../adapters/requests.ts'
import { turns } from '../support/server.ts'
import { createRandom, type Random } from '../support/simulated-clock.ts'

const STREAMS = 100_000
const AT_ONCE = 200
const SEED = Number(process.env.FUZZ_SEED ?? 20_261_130)

// ---------------------------------------------------------------- streams

const BODY = JSON.stringify(ADD)
const post = (body: string, fields = ''): string =>
  `POST /ml/v2/models/add/infer HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${fields}Content-Length: ${body.length}\r\n\r\n${body}`
const get = (path: string, fields = ''): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`
const HELLO = get('/hello')
const chunked = (body: string): string =>
  `POST /ml/v2/models/add/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`

const REQUESTS = [
  post(BODY),
  post(BODY, 'x-request-id: my-id\r\nX-Request-Timeout-Ms: 60000\r\n'),
  post('{}'),
  chunked(BODY),
  get('/ml/v2'),
  get('/ml/v2/models/add'),
  get('/ml/v2/health/ready', 'Connection: keep-alive\r\nAccept: */*\r\n'),
  get('/ml/v2/nothing'),
  get('/hello'),
  get('/ml/v2', 'Connection: close\r\n'),
  get('/ml/v2').replace('GET', 'HEAD'),
  get('/ml/v2').replace('HTTP/1.1', 'HTTP/1.0'),
  post(BODY, 'Expect: 100-continue\r\n'),
]
/** Most requests are of the kind that a client sends. */
const COMMON = 9
const PUT = [
  '',
  '',
  ' ',
  '\r\n',
  '\n',
  '\r',
  '\0',
  ':',
  '\t',
  ',',
  'x',
  '\r\n\r\n',
  '0',
  '9',
  '-',
  '%',
  'é',
  'POST ',
  'Content-Length: 5\r\n',
]

const pick = <T>(random: Random, list: readonly T[], among = list.length): T => list[Math.floor(random() * among)] as T

/** The most bytes that any reader could take a stream to announce: all its numbers, in tens and in sixteens. */
const longest = (text: string): number =>
  Math.max(
    ...[...text.matchAll(/(?<=length[^\r\n]{0,9})\d+/gi)].map(([digits]) => Number(digits)),
    ...[...text.matchAll(/(?<=\r\n)[0-9a-f]+(?=[^\r\n]*\r\n)/gi)].map(([digits]) => Number.parseInt(digits, 16)),
    0,
  )
/** A body that is longer would have to be sent, or waited for. */
const LONGEST_BODY = 4000

interface Stream {
  readonly bytes: Buffer
  /** Where it is cut into pieces. */
  readonly cuts: readonly number[]
}

function streamOf(random: Random): Stream {
  for (;;) {
    const count = 1 + Math.floor(random() * 2.5)
    let text = Array.from({ length: count }, () => pick(random, REQUESTS, random() < 0.8 ? COMMON : REQUESTS.length)).join('')
    for (let changes = Math.floor(random() * 3); changes > 0; changes--) {
      // Heads are where readers differ.
      const at = Math.floor(random() * random() * text.length)
      text = text.slice(0, at) + pick(random, PUT) + text.slice(at + Math.floor(random() * 4))
    }
    if (longest(text) > LONGEST_BODY) continue
    // Bytes that an announced body may still take, and two requests more.
    const filler = HELLO.repeat(2 + Math.ceil(longest(text) / HELLO.length))
    const bytes = Buffer.from(`${text}${filler}GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`, 'latin1')
    const cuts = Array.from({ length: Math.floor(random() * 2.5) }, () => Math.floor(random() * text.length)).sort(
      (a, b) => a - b,
    )
    return { bytes, cuts }
  }
}

// ---------------------------------------------------------------- servers

const NO_REQUEST = 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'

interface Listening {
  readonly http: Server
  readonly path: string
  /** How many requests went through `node:http`. */
  usual: number
  /** Bytes that are no request have been met. */
  refused: boolean
}

async function listening(path: string, server: ModelServer, fastLane: boolean): Promise<Listening> {
  class Counted extends ServerResponse {
    constructor(...args: ConstructorParameters<typeof ServerResponse>) {
      super(...args)
      made.usual++
    }
  }
  const http = createServer({ ServerResponse: Counted as typeof ServerResponse }, (_req, res) => void res.end('the app'))
  const made: Listening = { http, path, usual: 0, refused: false }
  attach(http, server, { prefix: '/ml', fastLane })
  http.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code?.startsWith('HPE_')) made.refused = true
    if (socket.writable) socket.end(NO_REQUEST)
    else socket.destroy()
  })
  // By a path: so many connections would use up the ports of a machine.
  await new Promise<void>((resolve) => http.listen(path, resolve))
  return made
}

/** A server's answer to a stream until the connection closes; without the time of day. */
async function said({ path }: Listening, { bytes, cuts }: Stream): Promise<string> {
  const socket: Socket = connect(path)
  socket.on('error', () => {})
  let text = ''
  socket.on('data', (piece) => {
    text += piece.toString('latin1')
  })
  const closed = new Promise((resolve) => socket.once('close', resolve))
  let from = 0
  for (const to of [...cuts, bytes.length]) {
    if (!socket.destroyed) await new Promise<void>((resolve) => void socket.write(bytes.subarray(from, to), () => resolve()))
    await turns()
    from = to
  }
  await closed
  return text.replace(/Date: [^\r]*/g, 'Date')
}

let dir: string
let server: ModelServer
let lane: Listening
let plain: Listening
beforeAll(async () => {
  // Most errors here are wanted, and their stacks cost more than they do.
  Error.stackTraceLimit = 0
  dir = mkdtempSync(join(tmpdir(), 'streams-'))
  // A body that never comes would be waited for; none should be among these.
  server = await createModelServer({
    logger: false,
    strict: true,
    bodyTimeoutMs: 20_000,
    models: [{ name: 'add', source: addModel() }],
  })
  lane = await listening(join(dir, 'lane'), server, true)
  plain = await listening(join(dir, 'plain'), server, false)
})
afterAll(async () => {
  for (const { http } of [lane, plain]) {
    http.closeAllConnections()
    http.close()
  }
  await server.close()
  rmSync(dir, { recursive: true, force: true })
})

const both = (stream: Stream): Promise<[string, string]> => Promise.all([said(lane, stream), said(plain, stream)])

/** Alone, so that it is certain which stream was refused. Garbage makes Node drop the answer before it, if that is not written yet. */
async function expectSame(stream: Stream): Promise<void> {
  lane.refused = plain.refused = false
  const [here, there] = await both(stream)
  const shown = JSON.stringify({ ...stream, bytes: stream.bytes.toString('latin1') })
  expect(lane.refused, shown).toBe(plain.refused)
  if (!lane.refused) expect(here, shown).toBe(there)
  else {
    const [less = '', more = ''] = [here, there].map((text) => text.replace(NO_REQUEST, '')).sort((a, b) => a.length - b.length)
    expect(more.startsWith(less), shown).toBe(true)
  }
}

test(`the answers to ${STREAMS} streams`, async () => {
  const random = createRandom(SEED)
  const seen = { answered: 0, ours: 0, bad: 0 }
  const different: Stream[] = []
  for (let done = 0; done < STREAMS; done += AT_ONCE) {
    const streams = Array.from({ length: Math.min(AT_ONCE, STREAMS - done) }, () => streamOf(random))
    const answers = await Promise.all(streams.map(both))
    for (const [i, [here, there]] of answers.entries()) {
      if (here !== there) different.push(streams[i] as Stream)
      if (/^HTTP\/1\.1 200/.test(here)) seen.answered++
      if (here.includes('"outputs"')) seen.ours++
      if (here.endsWith(NO_REQUEST)) seen.bad++
    }
  }
  const faults: unknown[] = []
  for (const stream of different) await expectSame(stream).catch((error) => void faults.push(error))
  console.log(`${STREAMS} streams: ${JSON.stringify({ ...seen, again: different.length, inTheLane: plain.usual - lane.usual })}`)
  expect(faults.slice(0, 5)).toEqual([])
  // The streams are worth their name: many are answered, many are refused, and the lane has its share of them.
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(STREAMS / 20)
  expect(plain.usual - lane.usual).toBeGreaterThan(STREAMS / 4)
})

/** A server in this process, asked with 40 bodies of 64 KB gzip at once; prints how much more memory it had resident at most. */

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { createModelServer } from 'modelmount'
import { nodeHandler } from 'modelmount/node'
import { identityModel } from '../../tools/models.mjs'

const PACKED_BYTES = 64 * 1024
const AT_ONCE = 40

/** Text that hardly packs: 64 characters at random, the same each time. */
function noise(length: number): string {
  const bytes: Buffer[] = []
  for (let i = 0; i * 48 < length; i++) bytes.push(createHash('sha384').update(`${i}`).digest())
  return Buffer.concat(bytes).toString('base64').slice(0, length)
}

/** 64 KB of gzip, of which some are noise, so that it unpacks to `times` its size. */
function packedTo(text: string, times: number, noiseLength: number): Buffer {
  const bulk = text.repeat(Math.floor((PACKED_BYTES * times) / text.length))
  const inputs = `[{"name":"x","shape":[1],"datatype":"FP32","data":[${bulk}1]}]`
  return gzipSync(`{"inputs":${inputs},"noise":"${noise(noiseLength)}"}`)
}

const BODIES: readonly (readonly [string, Buffer])[] = [
  ['a bomb', packedTo('[1],', 1000, 0)],
  ['nested lists, under a hundred times', packedTo('[1],', 88, 74_000)],
  ['numbers, under a hundred times', packedTo('0.5,', 88, 74_000)],
  ['deep lists, under a hundred times', packedTo(`${'['.repeat(400)}${']'.repeat(400)},`, 88, 30_000)],
]

const server = await createModelServer({
  logger: false,
  strict: true,
  timeoutMs: 600_000,
  models: [{ name: 'm', source: identityModel('float', ['N']) }],
})
const http = createServer(nodeHandler(server)).listen(0, '127.0.0.1')
await once(http, 'listening')
const { port } = http.address() as AddressInfo
const agent = new Agent({ keepAlive: true })

/** A connection may end before a client has sent all of a refused body, and lose the answer: such a request is sent again. */
const post = (body: string | Buffer, headers: Record<string, string> = {}, tries = 3): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const req = request({
      port,
      method: 'POST',
      path: '/v2/models/m/infer',
      agent,
      headers: { 'content-type': 'application/json', ...headers },
    })
    req.on('response', (res) => {
      resolve(res.statusCode)
      res.on('error', () => {}).resume()
    })
    req.on('error', (error) => (tries > 1 ? resolve(post(body, headers, tries - 1)) : reject(error)))
    req.end(body)
  })

await post('{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}')
const before = process.resourceUsage().maxRSS
const answers: Record<string, unknown> = {}
for (const [what, body] of BODIES) {
  const statuses = await Promise.all(Array.from({ length: AT_ONCE }, () => post(body, { 'content-encoding': 'gzip' })))
  answers[what] = {
    bytes: body.length,
    statuses: [...new Set(statuses)],
    moreMB: Math.round((process.resourceUsage().maxRSS - before) / 1024),
  }
}
console.log(JSON.stringify(answers))
agent.destroy()
http.close()
await server.close()

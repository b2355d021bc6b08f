/** The modelmount command from a shell's point of view: its output, its answers, its end. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { addModel, customOpModel, gatherModel, slowLoopModel } from '../../tools/models.mjs'

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'cli-test-'))
  mkdirSync(join(dir, 'models/add/3'), { recursive: true })
  writeFileSync(join(dir, 'models/add/3/model.onnx'), addModel())
  writeFileSync(join(dir, 'models/slow.onnx'), slowLoopModel())
  writeFileSync(join(dir, 'models/gather.onnx'), gatherModel())
  mkdirSync(join(dir, 'mixed'))
  writeFileSync(join(dir, 'mixed/add.onnx'), addModel())
  writeFileSync(join(dir, 'mixed/bad.onnx'), customOpModel())
  writeFileSync(join(dir, 'text.onnx'), 'not a model')
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** Collects what a process prints; `ended` resolves when it has gone and said everything. */
function start(...args: string[]): { child: ChildProcess; ended: Promise<Ended>; lines: AsyncIterator<string> } {
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, stdout, stderr }) as Ended)
  return { child, ended, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() }
}

const run = (...args: string[]): Promise<Ended> => start(...args).ended

interface Served {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  readonly url: string
  /** Resolves when it has been told to stop. */
  readonly draining: Promise<unknown>
}

async function serve(...args: string[]): Promise<Served> {
  const { child, ended, lines } = start('serve', '--port', '0', ...args)
  const { value, done } = await lines.next()
  if (done) throw new Error(`the process ended before it listened: ${(await ended).stderr}`)
  const line = JSON.parse(value) as { event: string; url: string }
  expect(line.event).toBe('listening')
  const draining = new Promise((resolve) => {
    child.stderr?.on('data', (chunk) => String(chunk).includes('draining') && resolve(undefined))
  })
  return { child, ended, draining, url: line.url }
}

async function infer(url: string, model: string, inputs: unknown): Promise<{ status: number; json: unknown }> {
  const response = await fetch(`${url}/v2/models/${model}/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ inputs }),
  })
  return { status: response.status, json: await response.json() }
}

const floats = (name: string) => ({ name, shape: [1, 4], datatype: 'FP32', data: [1, 2, 3, 4] })
const trips = (count: number) => [{ name: 'trips', shape: [], datatype: 'INT64', data: [count] }]

describe('serve', () => {
  test.each(['thread', 'process'])('answers over HTTP, and ends with 0 on SIGTERM (%s tier)', async (isolation) => {
    const { child, ended, url } = await serve('--models', join(dir, 'models'), '--isolation', isolation)
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    expect(await infer(url, 'add', [floats('a'), floats('b')])).toEqual({
      status: 200,
      json: {
        model_name: 'add',
        model_version: '3',
        outputs: [{ name: 'sum', datatype: 'FP32', shape: [1, 4], data: [2, 4, 6, 8] }],
      },
    })
    expect(await (await fetch(`${url}/v2/health/ready`)).json()).toEqual({ ready: true })
    expect((await fetch(`${url}/nope`)).status).toBe(404)
    child.kill('SIGTERM')
    const { code, signal, stdout, stderr } = await ended
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: 'modelmount: draining\n' })
    // One line on stdout, for a program that waits for it.
    expect(stdout).toBe(`${JSON.stringify({ event: 'listening', url })}\n`)
  })

  test.each(['express', 'fastify', 'nestjs', 'node', 'fetch'])('--adapter %s', async (adapter) => {
    const { child, ended, url } = await serve('--models', join(dir, 'models'), '--adapter', adapter)
    expect(await infer(url, 'add', [floats('a'), floats('b')])).toMatchObject({ status: 200, json: { model_version: '3' } })
    const nope = await fetch(`${url}/nope`)
    // An idle connection stays for longer than in the pools of clients and proxies, most of which drop one after 60 s at the latest.
    expect([nope.status, nope.headers.get('keep-alive')]).toEqual([404, 'timeout=75'])
    // On the way when it is told to stop: still answered.
    const running = infer(url, 'slow', trips(100_000))
    await expect.poll(async () => (await fetch(`${url}/v2/health/live`)).status).toBe(200)
    child.kill('SIGTERM')
    expect((await running).status).toBe(200)
    expect(await ended).toMatchObject({ code: 0, signal: null, stderr: 'modelmount: draining\n' })
  })

  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s while requests run and wait: each is answered, then it ends with 0',
    async (signal) => {
      const { child, ended, draining, url } = await serve('--models', join(dir, 'models'))
      const running = infer(url, 'slow', trips(700_000))
      // Behind it in the queue, and known to have arrived: a connection is read in order of arrival.
      const waiting = infer(url, 'slow', trips(1))
      await expect.poll(async () => (await fetch(`${url}/v2/health/live`)).status).toBe(200)
      child.kill(signal)
      await draining
      for (const { status, json } of await Promise.all([running, waiting])) {
        expect(status).toBe(200)
        expect(json).toMatchObject({ model_name: 'slow', outputs: [{ shape: [64] }] })
      }
      expect(await ended).toMatchObject({ code: 0, signal: null })
    },
  )

  test('a large answer that a slow client still reads is not cut off by SIGTERM', async () => {
    const { child, ended, draining, url } = await serve('--models', join(dir, 'models'))
    // Larger than what the kernel buffers on both sides.
    const rows = 1_000_000
    const body = JSON.stringify({
      inputs: [{ name: 'indices', shape: [rows], datatype: 'INT64', data: new Array(rows).fill(7) }],
    })
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    let text = ''
    // The first piece proves that the answer has begun; the rest is left in the buffers.
    const begun = new Promise<void>((resolve) => {
      socket.once('data', (chunk) => {
        text += chunk
        socket.pause()
        resolve()
      })
    })
    socket.write(`POST /v2/models/gather/infer HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
    await begun
    child.kill('SIGTERM')
    await draining
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('error', () => {})
    // Read on only once the server has had every chance to give up on us.
    const rest = once(socket, 'close')
    setTimeout(() => socket.resume(), 300)
    await rest
    const [, length] = /content-length: (\d+)/i.exec(text) ?? []
    expect(text.length - text.indexOf('\r\n\r\n') - 4).toBe(Number(length))
    expect(await ended).toMatchObject({ code: 0, signal: null })
  })

  test('a client that never finishes its request does not hold the end up', async () => {
    const { child, ended, url } = await serve('--models', join(dir, 'models'))
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.on('error', () => {})
    socket.write('POST /v2/models/add/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{')
    expect((await fetch(`${url}/v2/health/live`)).status).toBe(200)
    child.kill('SIGTERM')
    expect(await ended).toMatchObject({ code: 0, signal: null })
    socket.destroy()
  })

  test('a bad model: serves the others; with --strict it ends with 1 and a sentence', async () => {
    const { child, ended, url } = await serve('--models', join(dir, 'mixed'))
    expect((await fetch(`${url}/v2/health/ready`)).status).toBe(503)
    expect((await infer(url, 'add', [floats('a'), floats('b')])).status).toBe(200)
    child.kill('SIGTERM')
    const { code, stderr } = await ended
    expect(code).toBe(0)
    expect(stderr).toMatch(/modelmount: bad@1: failed: custom operator com\.example:Foo/)

    const strict = await run('serve', '--port', '0', '--models', join(dir, 'mixed'), '--strict')
    expect(strict.code).toBe(1)
    expect(strict.stderr).toMatch(/custom operator com\.example:Foo .*\(MODEL_UNSUPPORTED\)/)
    expect(strict.stdout).not.toContain('listening')
  })

  test('a missing directory, and a port in use: 1 and a sentence, no stack trace', async () => {
    const missing = await run('serve', '--models', join(dir, 'nope'), '--port', '0')
    expect(missing).toMatchObject({ code: 1, stdout: '' })
    expect(missing.stderr).toMatch(/^modelmount: repository '.*nope' cannot be read as a directory.*\n$/)

    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    onTestFinished(() => void other.close())
    const taken = await run('serve', '--models', join(dir, 'models'), '--port', String((other.address() as AddressInfo).port))
    expect(taken.code).toBe(1)
    expect(taken.stderr).toMatch(/^modelmount: .*(in use|EADDRINUSE).*\n$/)
    for (const { stderr } of [missing, taken]) expect(stderr).not.toMatch(/\n\s+at /)
  })

  test('IPv6 addresses are printed as URLs take them', async () => {
    const { child, ended, url } = await serve('--models', join(dir, 'models'), '--host', '::1')
    expect(url).toMatch(/^http:\/\/\[::1\]:\d+$/)
    expect((await fetch(`${url}/v2/health/live`)).status).toBe(200)
    child.kill('SIGTERM')
    expect(await ended).toMatchObject({ code: 0 })
  })
})

describe('wrong use ends with 2, a sentence and the usage', () => {
  test.each([
    [[], 'a command is missing'],
    [['predict'], "there is no command 'predict'"],
    [['--serve'], "there is no command '--serve'"],
    [['serve'], '--models DIR is missing'],
    [['serve', '--models', '.', '--port', '65536'], '--port must be a whole number from 0 to 65535'],
    [['serve', '--models', '.', '--port', 'http'], '--port must be a whole number'],
    [['serve', '--models', '.', '--port=-1'], '--port must be a whole number'],
    [['serve', '--models', '.', '--instances', '0'], '--instances must be a whole number from 1 to 256'],
    [['serve', '--models', '.', '--isolation', 'fork'], '--isolation must be thread or process'],
    [['serve', '--models', '.', '--adapter', 'koa'], '--adapter must be one of express, fastify, nestjs, node, fetch'],
    [['serve', '--models', '.', '--portt', '1'], '--portt'],
    [['serve', '--models'], '--models'],
    [['serve', '--models', '.', '--port', '0', 'more'], 'more'],
    [['inspect'], 'inspect takes one FILE'],
    [['inspect', 'a', 'b'], 'inspect takes one FILE'],
    [['inspect', 'a', '--yaml'], '--yaml'],
  ])('%j', async (args, sentence) => {
    const { child, ended } = start(...args)
    // A command taken for one to serve would run for ever.
    child.stdout?.once('data', () => child.kill('SIGKILL'))
    const { code, stdout, stderr } = await ended
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^modelmount: \S/)
    expect(stderr.split('\n')[0]).toContain(sentence)
    expect(stderr).toContain('Usage:')
  })
})

describe('the rest', () => {
  test('--version and --help', async () => {
    for (const flag of ['--version', '-v'])
      expect(await run(flag)).toEqual({ code: 0, signal: null, stdout: `${version}\n`, stderr: '' })
    for (const flag of ['--help', '-h', 'help']) {
      const { code, stdout, stderr } = await run(flag)
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      for (const word of ['serve', 'inspect', '--models DIR', '--port', '--host', '--adapter', '--json'])
        expect(stdout).toContain(word)
    }
  })

  test('inspect prints a table, or JSON', async () => {
    const file = join(dir, 'models/add/3/model.onnx')
    const table = await run('inspect', file)
    expect(table).toMatchObject({ code: 0, stderr: '' })
    expect(table.stdout).toMatch(/inputs\n {2}a {2}tensor\(float\) {2}\[N, 4\]\n {2}b {2}tensor\(float\) {2}\[N, 4\]\n/)
    expect(table.stdout).toMatch(/servable: yes\n$/)
    const json = await run('inspect', file, '--json')
    expect(json).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(json.stdout)).toMatchObject({
      servable: true,
      outputs: [{ name: 'sum', type: 'float32', shape: ['N', 4] }],
    })
  })

  test('inspect of what is no model: 1 and a sentence', async () => {
    for (const [file, sentence] of [
      [join(dir, 'text.onnx'), /text file.*\(MODEL_INVALID\)\n$/],
      [join(dir, 'nope.onnx'), /does not exist.*\(MODEL_LOAD_FAILED\)\n$/],
      [dir, /is a directory.*\(MODEL_INVALID\)\n$/],
    ] as const) {
      const { code, stdout, stderr } = await run('inspect', file)
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
      expect(stderr).toMatch(/^modelmount: /)
      expect(stderr).toMatch(sentence)
      expect(stderr).not.toMatch(/\n\s+at /)
    }
  })
})

describe('what clients may do', () => {
  const post = (url: string): Promise<Response> => fetch(url, { method: 'POST' })

  test('models are loaded and unloaded only with --management', async () => {
    const closed = await serve('--models', join(dir, 'models'))
    expect((await post(`${closed.url}/v2/repository/models/add/unload`)).status).toBe(404)
    const open = await serve('--models', join(dir, 'models'), '--management')
    expect((await post(`${open.url}/v2/repository/models/add/unload`)).status).toBe(200)
    expect((await fetch(`${open.url}/v2/models/add/ready`)).status).toBe(404)
    expect((await post(`${open.url}/v2/repository/models/add/load`)).status).toBe(200)
    expect((await fetch(`${open.url}/v2/models/add/ready`)).status).toBe(200)
  })

  test('unknown dialects are wrong usage', async () => {
    expect(await run('serve', '--models', join(dir, 'models'), '--dialects', 'open-inference,grpc')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("got 'grpc'"),
    })
  })
})

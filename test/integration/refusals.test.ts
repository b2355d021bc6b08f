/** Refused calls: each is seen once by the stages around every prediction, and counted once, on whatever way it came and wherever it was refused. */

import { createModelServer, isModelmountError, ModelmountError, type ModelServer, type Telemetry } from 'modelmount'
import type { Demand, Extension, Stage } from 'modelmount/extension'
import { beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { addModel } from '../../tools/models.mjs'
import { type AnyRequest, HOSTS, type Host, type Mount } from '../adapters/hosts.ts'
import { ADD } from '../adapters/requests.ts'
import { callerOf } from '../support/mount.ts'
import { serverFor } from '../support/server.ts'
import { openSocket } from '../support/socket.ts'

const MAX_BODY_BYTES = 10_000
const PATH = '/v2/models/add/infer'
const SUMMANDS = { a: [[1, 2, 3, 4]], b: [[1, 1, 1, 1]] }

/** Ends of calls by the places that see them, and as telemetry counts them. */
function witness() {
  const seen: string[] = []
  const counted: string[] = []
  const seeing =
    (place: string): Stage =>
    (next) =>
    async (call) => {
      try {
        const answer = await next(call)
        seen.push(`${place} ${call.model} answered`)
        return answer
      } catch (error) {
        seen.push(`${place} ${call.model} ${(error as ModelmountError).code}`)
        throw error
      }
    }
  const extension: Extension = {
    apiVersion: 1,
    name: 'witness',
    stages: { observe: seeing('observe'), identify: seeing('identify') },
  }
  const telemetry: Telemetry = { end: ({ model, error }) => void counted.push(`${model} ${error ?? 'answered'}`) }
  const clear = (): void => {
    seen.length = 0
    counted.length = 0
  }
  return { seen, counted, extension, telemetry, clear }
}

const once = (end: string) => ({ seen: [`identify ${end}`, `observe ${end}`], counted: [end] })

async function portOf(host: Host, mount: Mount): Promise<number> {
  const { port, close } = await host.start([mount], 'bare')
  onTestFinished(close)
  return port
}

const headOf = (length: number): string =>
  `POST ${PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`

/** Sends a head, and as much of a body as given. */
async function begun(port: number, length: number, body = ''): Promise<number> {
  const { send, answer, socket } = await openSocket(port)
  onTestFinished(() => void socket.destroy())
  await send(headOf(length) + body)
  return (await answer()).status
}

const post = async (port: number, body = JSON.stringify(ADD)): Promise<number> =>
  (await fetch(`http://127.0.0.1:${port}${PATH}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body }))
    .status

describe('in front of the body', () => {
  const { seen, counted, extension, telemetry, clear } = witness()
  let guarded: ModelServer
  let server: ModelServer
  let decide: (demand: Demand) => void | Promise<void> = () => {}
  const asked: Demand[] = []
  const forbidden = (): ModelmountError => new ModelmountError('FORBIDDEN', 'not for you')

  beforeAll(async () => {
    const guards: Extension['guards'] = [
      (demand) => {
        asked.push(demand)
        return decide(demand)
      },
    ]
    const models = { add: addModel() }
    const options = { models, telemetry, logger: false, maxBodyBytes: MAX_BODY_BYTES, bodyTimeoutMs: 300 } as const
    server = await createModelServer({ ...options, extensions: [extension] })
    guarded = await createModelServer({ ...options, extensions: [extension, { apiVersion: 1, name: 'guard', guards }] })
    return async () => {
      decide = () => {}
      await guarded.close()
      await server.close()
    }
  })
  beforeEach(() => {
    clear()
    asked.length = 0
    decide = () => {}
  })

  describe.each(HOSTS)('$name', (host) => {
    test('a caller that the app does not know', async () => {
      const identify = (_request: AnyRequest): never => {
        throw Object.assign(new Error('who?'), { status: 401 })
      }
      const port = await portOf(host, { server, prefix: '', options: { identify } })
      expect(await post(port)).toBe(401)
      expect({ seen, counted }).toEqual(once('add UNAUTHENTICATED'))
    })

    test.each([
      [
        'at once',
        () => {
          throw forbidden()
        },
      ],
      ['later', () => new Promise<void>((_, reject) => setImmediate(() => reject(forbidden())))],
    ])('a guard that refuses %s, before the body is there', async (_, refusal) => {
      decide = refusal
      const port = await portOf(host, { server: guarded, prefix: '' })
      expect(await begun(port, 100)).toBe(403)
      expect(asked).toHaveLength(1)
      expect({ seen, counted }).toEqual(once('add FORBIDDEN'))
    })

    test('a guard that agrees later is asked once', async () => {
      decide = () => new Promise((resolve) => setImmediate(resolve))
      const port = await portOf(host, { server: guarded, prefix: '' })
      expect(await post(port)).toBe(200)
      expect(asked).toHaveLength(1)
      expect({ seen, counted }).toEqual(once('add answered'))
    })

    test('a body that is too large', async () => {
      const port = await portOf(host, { server, prefix: '' })
      expect(await post(port, ' '.repeat(MAX_BODY_BYTES + 1))).toBe(413)
      expect({ seen, counted }).toEqual(once('add BODY_TOO_LARGE'))
    })

    test('a body that does not come', async () => {
      const port = await portOf(host, { server, prefix: '' })
      expect(await begun(port, 100, '{')).toBe(408)
      expect({ seen, counted }).toEqual(once('add BODY_TIMEOUT'))
    })

    test('more bytes than the server may hold', async () => {
      const port = await portOf(host, { server, prefix: '' })
      const held = server.http.hold()
      onTestFinished(() => held.release())
      expect(held.add(268_435_456)).toBe(true)
      expect(await post(port)).toBe(503)
      expect({ seen, counted }).toEqual(once('add OVERLOADED'))
    })
  })

  test('without an adapter: handle() asks the guards itself', async () => {
    decide = () => Promise.reject(forbidden())
    expect((await callerOf(guarded.http.mount()).post(PATH, ADD)).status).toBe(403)
    expect(asked).toHaveLength(1)
    expect({ seen, counted }).toEqual(once('add FORBIDDEN'))
  })

  test.each([
    [
      'at once',
      () => {
        throw forbidden()
      },
    ],
    ['later', () => Promise.reject(forbidden())],
  ])('predict(), where a guard refuses %s', async (_, refusal) => {
    decide = refusal
    await expect(guarded.predict('add', SUMMANDS)).rejects.toMatchObject({ code: 'FORBIDDEN' })
    expect({ seen, counted }).toEqual(once('add FORBIDDEN'))
  })

  test('predict() with options that are none', async () => {
    await expect(server.predict('add', SUMMANDS, { timeoutMs: -1 })).rejects.toMatchObject({ code: 'OPTIONS_INVALID' })
    expect({ seen, counted }).toEqual(once('add OPTIONS_INVALID'))
  })

  test('a model that the path does not name, of several', async () => {
    const two = witness()
    const server = await serverFor({
      models: { add: addModel(), other: addModel() },
      extensions: [two.extension],
      telemetry: two.telemetry,
    })
    const { post } = callerOf(server.http.mount({ dialects: ['mlflow'] }))
    expect((await post('/invocations', { inputs: [] })).status).toBe(404)
    expect(two.seen).toEqual(['identify  MODEL_NOT_FOUND', 'observe  MODEL_NOT_FOUND'])
    expect(two.counted).toEqual(['undefined MODEL_NOT_FOUND'])
  })

  test('a request that runs no model is no prediction', async () => {
    decide = () => Promise.reject(forbidden())
    expect((await callerOf(guarded.http.mount()).get('/v2/models/add')).status).toBe(403)
    expect({ seen, counted }).toEqual({ seen: [], counted: [] })
  })
})

describe('by a stage', () => {
  const refuse = (): Promise<never> => Promise.reject(new ModelmountError('UNAUTHENTICATED', 'no ticket'))
  const BEFORE: Stage = () => refuse
  const AFTER: Stage = (next) => async (call) => {
    await next(call)
    return refuse()
  }
  const PLACES = ['observe', 'identify', 'admit', 'open', 'decode'] as const

  test.each(PLACES)('in %s, in front of all others and after them', async (place) => {
    for (const [stage, failed] of [
      [BEFORE, 0],
      [AFTER, 1],
    ] as const) {
      const { counted, telemetry } = witness()
      const extension: Extension = { apiVersion: 1, name: 'refusing', stages: { [place]: stage } }
      const server = await serverFor({ models: { add: addModel() }, extensions: [extension], telemetry })
      const { get, post } = callerOf(server.http.mount())
      expect((await post(PATH, ADD)).status).toBe(401)
      expect(counted).toEqual(['add UNAUTHENTICATED'])
      await expect(server.predict('add', SUMMANDS)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
      expect(counted).toEqual(['add UNAUTHENTICATED', 'add UNAUTHENTICATED'])
      const { json } = await get('/v2/models/add/stats')
      expect(json).toMatchObject({ model_stats: [{ inference_stats: { success: { count: 0 }, fail: { count: 2 * failed } } }] })
    }
  })

  test('may answer a call that was refused', async () => {
    const answering: Extension = {
      apiVersion: 1,
      name: 'answering',
      stages: {
        observe: (next) => (call) =>
          next(call).catch((error) => {
            if (!isModelmountError(error) || call.codec) throw error
            return { outputs: {}, queueMs: 0, inferMs: 0, batchSize: 0, endedAt: call.at }
          }),
      },
      guards: [
        ({ action }) => {
          if (action === 'infer') throw new ModelmountError('FORBIDDEN', 'not for you')
        },
      ],
    }
    const server = await serverFor({ models: [], extensions: [answering] })
    expect(await server.predict('add', SUMMANDS)).toMatchObject({ model: 'add', outputs: {}, batchSize: 0 })
  })
})

/** A listener may close the server, unload the model or load it again, on any event, and gets its wish. */

import { writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { isModelmountError, type ModelServer, type ModelSpec, type ServerEvent } from 'modelmount'
import { describe, expect, test } from 'vitest'
import { node, value, writeModel } from '../../tools/onnx-writer.mjs'
import { workerPids } from '../support/children.ts'
import { watch } from '../support/events.ts'
import { LINUX } from '../support/needs.ts'
import { provedServerFor as serverFor } from '../support/server.ts'
import { constantOf } from '../support/small-models.ts'
import { treeFor } from '../support/tree.ts'

interface Situation {
  readonly is: (event: ServerEvent) => boolean
  readonly spec?: (dir: string) => Partial<ModelSpec>
  /** Action on the model once it is loaded. @default nothing: loading it is enough */
  readonly happens?: (server: ModelServer, dir: string) => void
  /** It does not load. */
  readonly fails?: true
}

const state = (state: string) => (event: ServerEvent) => event.type === 'model' && event.state === state
const type = (type: ServerEvent['type']) => (event: ServerEvent) => event.type === type
const kill = (): void => {
  for (const pid of workerPids()) process.kill(pid, 'SIGKILL')
}

/** Divides integers by values of the request, so that it runs in a process. */
const division = writeModel({
  graph: {
    inputs: [value('x', 'int64', ['N']), value('d', 'int64', ['N'])],
    outputs: [value('y', 'int64', ['N'])],
    nodes: [node('Div', ['x', 'd'], ['y'])],
  },
})

const SITUATIONS: Readonly<Record<string, Situation>> = {
  loading: { is: state('loading') },
  'worker-ready': { is: type('worker-ready') },
  ready: { is: state('ready') },
  failed: { is: state('failed'), spec: () => ({ source: Buffer.from('no model') }), fails: true },
  draining: { is: state('draining'), happens: (server) => void server.unload('m') },
  unloaded: { is: state('unloaded'), happens: (server) => void server.unload('m') },
  'provider-fallback': { is: type('provider-fallback'), spec: () => ({ executionProviders: ['cuda', 'cpu'] }) },
  isolation: { is: type('isolation'), spec: () => ({ source: division }) },
  warning: { is: type('warning'), spec: () => ({ instances: availableParallelism() + 1 }) },
  residency: { is: type('residency'), spec: () => ({ idleUnloadMs: 20 }) },
  'worker-lost': { is: type('worker-lost'), spec: () => ({ isolation: 'process' }), happens: kill },
  'start-refused': {
    is: type('start-refused'),
    spec: (dir) => ({ isolation: 'process', source: join(dir, 'm.onnx') }),
    happens(_, dir) {
      writeFileSync(join(dir, 'm.onnx'), constantOf(2))
      kill()
    },
  },
  breaker: {
    is: type('breaker'),
    spec: () => ({ isolation: 'process' }),
    happens(server) {
      const seen = watch(server).seen
      server.subscribe((event) => event.type === 'worker-ready' && !seen.some(({ type }) => type === 'breaker') && kill())
      kill()
    },
  },
}

/** A refusal uses our own words. */
async function settled(promises: readonly Promise<unknown>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(promises))
    if (outcome.status === 'rejected')
      expect([isModelmountError(outcome.reason), outcome.reason.code]).toEqual([true, expect.not.stringMatching('INTERNAL')])
}

describe.each(Object.entries(SITUATIONS))('when it is told of %s', LINUX, (_, situation) => {
  const { is, happens, fails } = situation

  /** Loads the model, causes the listener's event, and resolves when the listener's action is done. */
  async function told(act: (server: ModelServer, spec: ModelSpec) => Promise<unknown>) {
    const before = workerPids()
    const dir = treeFor({ 'm.onnx': constantOf(1) })
    const spec: ModelSpec = { name: 'm', source: constantOf(1), ...situation.spec?.(dir) }
    const server = await serverFor({ models: [] })
    const acted = new Promise<unknown>((resolve) => {
      let isFirst = true
      server.subscribe((event) => {
        if (isFirst && is(event)) resolve(act(server, spec))
        if (is(event)) isFirst = false
      })
    })
    await settled([server.load(spec)])
    happens?.(server, dir)
    await settled([acted])
    return { server, spec, before }
  }

  test('close() leaves nothing that serves or runs', async () => {
    const { server, before } = await told((server) => server.close())
    expect(server.health()).toMatchObject({ live: false, ready: false })
    for (const { state } of server.models()) expect(['unloaded', 'failed']).toContain(state)
    await expect(server.predict('m', {})).rejects.toMatchObject({ code: 'SERVER_CLOSED' })
    expect(workerPids()).toEqual(before)
  })

  test('unload() takes it away, and it can be loaded again', async () => {
    const { server, spec } = await told((server) => server.unload('m'))
    expect(server.models()).toEqual([])
    if (fails) return
    await server.load({ ...spec, name: 'm' })
    expect(server.model('m').state).toBe('ready')
  })

  test('load() brings it back, or keeps it', async () => {
    const { server } = await told((server, spec) => server.load(spec, { replace: true }))
    expect(server.models().map(({ state }) => state)).toEqual([fails ? 'failed' : 'ready'])
    if (!fails && situation.spec?.('').source !== division) await server.predict('m', {})
    await server.close()
    for (const { state } of server.models()) expect(['unloaded', 'failed']).toContain(state)
  })
})

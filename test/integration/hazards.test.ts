/** A model that can end its process by the values of a request runs in a process of its own, unless its user says otherwise. */

import type { ModelSpec, ServerEvent } from 'modelmount'
import { createModelServer } from 'modelmount'
import { describe, expect, onTestFinished, test } from 'vitest'
import { node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'
import { workerPids } from '../support/children.ts'
import { provedServerFor } from '../support/server.ts'

/** y = x / d, of integers. */
const division = writeModel({
  graph: {
    inputs: [value('x', 'int64', ['N', 2]), value('d', 'int64', ['N', 2])],
    outputs: [value('y', 'int64', ['N', 2])],
    nodes: [node('Div', ['x', 'd'], ['y'], {}, { name: 'share' })],
  },
})
const halving = writeModel({
  graph: {
    inputs: [value('x', 'int64', ['N', 2])],
    outputs: [value('y', 'int64', ['N', 2])],
    nodes: [node('Div', ['x', 'two'], ['y'])],
    initializers: [tensor('two', 'int64', [], [2n])],
  },
})
const HAZARD = "operator Div (node 'share') divides integers by values of the request"

interface Loaded {
  readonly server: Awaited<ReturnType<typeof createModelServer>>
  readonly events: readonly ServerEvent[]
  readonly lines: readonly string[]
}

async function load(spec: Partial<ModelSpec>, shared: { isolation?: 'thread' | 'process' } = {}): Promise<Loaded> {
  const lines: string[] = []
  const say = (...parts: unknown[]): void => void lines.push(parts.map(String).join(' '))
  const server = await createModelServer({ models: [], ...shared, logger: { info: say, warn: say, error: say } })
  onTestFinished(() => server.close({ timeoutMs: 5000 }))
  const events: ServerEvent[] = []
  server.subscribe((event) => events.push(event))
  await server.load({ name: 'm', source: division, ...spec })
  return { server, events, lines }
}

describe('isolation', () => {
  test('not given: a process, with an event, a line and information that name the operator and its node', async () => {
    const before = workerPids()
    const { server, events, lines } = await load({})
    // One child may be a trial's.
    expect(workerPids().filter((pid) => !before.includes(pid)).length).toBeGreaterThan(0)
    expect(server.model('m')).toMatchObject({ isolation: 'process', hazard: HAZARD })
    expect(events.filter(({ type }) => type === 'isolation')).toEqual([
      { type: 'isolation', model: 'm', version: '1', isolation: 'process', reason: expect.stringContaining(HAZARD) },
    ])
    expect(lines.filter((line) => line.includes(HAZARD))).toHaveLength(1)
    const { outputs } = await server.predict('m', { x: [[9, 8]], d: [[3, 4]] })
    expect(Array.from(outputs.y?.data as BigInt64Array)).toEqual([3n, 2n])
  })

  test.each([
    ['for the model', { isolation: 'thread' }, {}],
    ['for all', {}, { isolation: 'thread' }],
  ] as const)('thread, said %s: a thread and a warning', async (_, spec, shared) => {
    const { server, events, lines } = await load(spec, shared)
    expect(server.model('m')).toMatchObject({ isolation: 'thread', hazard: HAZARD })
    expect(events.filter(({ type }) => type === 'warning')).toEqual([
      expect.objectContaining({ message: expect.stringContaining(HAZARD) }),
    ])
    expect(events.some(({ type }) => type === 'isolation')).toBe(false)
    expect(lines.filter((line) => line.includes(HAZARD))).toHaveLength(1)
  })

  test('process, said by the user: nothing to tell but the information', async () => {
    const { server, events } = await load({ isolation: 'process' })
    expect(server.model('m')).toMatchObject({ isolation: 'process', hazard: HAZARD })
    expect(events.some(({ type }) => type === 'isolation' || type === 'warning')).toBe(false)
  })

  test('of an honest model stays a thread, and nothing is told', async () => {
    const { server, events } = await load({ source: halving })
    expect(server.model('m').isolation).toBe('thread')
    expect(server.model('m')).not.toHaveProperty('hazard')
    expect(events.some(({ type }) => type === 'isolation' || type === 'warning')).toBe(false)
  })
})

test('requests that share runs, and large ones, are answered from the process', async () => {
  const server = await provedServerFor({ models: [{ name: 'm', source: division }] })
  const rows = 100_000
  const all = { type: 'int64', dims: [rows, 2], data: new BigInt64Array(2 * rows).fill(6n) } as const
  const by = { ...all, data: new BigInt64Array(2 * rows).fill(3n) }
  const answers = await Promise.all([
    server.predict('m', { x: all, d: by }),
    ...Array.from({ length: 20 }, (_, i) => server.predict('m', { x: [[i * 4, 6]], d: [[4, 3]] })),
  ])
  expect(answers[0].outputs.y?.data).toEqual(new BigInt64Array(2 * rows).fill(2n))
  expect(answers.slice(1).map(({ outputs }) => Number(outputs.y?.data[0]))).toEqual(Array.from({ length: 20 }, (_, i) => i))
})

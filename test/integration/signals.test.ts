/** One signal for many calls: after each kind of end nothing of a call is left at it. */

import { getEventListeners } from 'node:events'
import type { ModelServer, ModelSpec } from 'modelmount'
import { fetchHandler } from 'modelmount/fetch'
import { expect, onTestFinished, test } from 'vitest'
import { slowLoopModel, totalModel } from '../../tools/models.mjs'
import { hold } from '../support/children.ts'
import { posted, provedServerFor } from '../support/server.ts'
import { plus, sharedCost } from '../support/small-models.ts'

const waiting = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'answered',
    (error) => error.code,
  )

const SHORT = { trips: 1n }
const rows = (count: number): number[][] => Array.from({ length: count }, (_, i) => [i, 1, 2, 3])

const MODELS: Readonly<Record<string, Omit<ModelSpec, 'name'>>> = {
  slow: { source: slowLoopModel(), maxQueue: 1 },
  rows: { source: sharedCost(), isolation: 'thread', batching: { maxSize: 4 } },
  kept: { source: plus(1), cache: { maxBytes: 1_000_000 } },
  total: { source: totalModel(), sequences: { state: { s: 'next' } } },
}
/** In processes, so that they can be held. */
const server = (...names: string[]): Promise<ModelServer> =>
  provedServerFor({
    strict: true,
    isolation: 'process',
    batching: false,
    models: names.map((name) => ({ name, ...(MODELS[name] as Omit<ModelSpec, 'name'>) })),
  })

test('after each kind of end', async () => {
  const mounted = await server('slow', 'rows', 'kept', 'total')
  const abort = new AbortController()
  const { signal } = abort
  const { predict } = mounted
  expect(mounted.model('rows').batching).toMatchObject({ enabled: true })
  const ends: Readonly<Record<string, readonly [() => Promise<unknown>, string]>> = {
    'an answer': [() => predict('slow', SHORT, { signal }), 'answered'],
    'inputs that do not fit': [() => predict('slow', { trips: [1n, 2n] }, { signal }), 'INPUT_INVALID'],
    'no such model': [() => predict('none', SHORT, { signal }), 'MODEL_NOT_FOUND'],
    'more rows than a run takes': [() => predict('rows', { x: rows(30) }, { signal }), 'answered'],
    'a result that is made': [() => predict('kept', { x: [1] }, { signal }), 'answered'],
    'a result that was kept': [() => predict('kept', { x: [1] }, { signal }), 'answered'],
    'a sequence': [() => predict('total', { x: [[1, 0]] }, { signal, sequence: { id: 1, start: true, end: true } }), 'answered'],
    'two of a sequence, of which one waits': [
      () =>
        Promise.all(
          [true, false].map((start) => predict('total', { x: [[1, 0]] }, { signal, sequence: { id: 3, start, end: !start } })),
        ),
      'answered',
    ],
    'no such sequence': [() => predict('total', { x: [[1, 0]] }, { signal, sequence: { id: 2 } }), 'SEQUENCE_NOT_FOUND'],
  }
  for (const [what, [call, code]] of Object.entries(ends)) {
    expect([what, await codeOf(call())]).toEqual([what, code])
    expect([what, waiting(signal)]).toEqual([what, 0])
  }
})

test('after a deadline, and a full queue', async () => {
  const mounted = await server('slow', 'kept', 'total')
  const { signal } = new AbortController()
  const release = hold()
  onTestFinished(release)
  const running = codeOf(mounted.predict('slow', SHORT, { signal, timeoutMs: 400 }))
  await posted()
  const queued = codeOf(mounted.predict('slow', SHORT, { signal, timeoutMs: 200 }))
  const refused = codeOf(mounted.predict('slow', SHORT, { signal }))
  const flights = [1, 2].map(() => codeOf(mounted.predict('kept', { x: [5] }, { signal, timeoutMs: 300 })))
  const sequence = codeOf(mounted.predict('total', { x: [[1, 0]] }, { signal, timeoutMs: 300, sequence: { id: 1, start: true } }))
  expect(waiting(signal)).toBe(1)
  expect(await refused).toBe('QUEUE_FULL')
  // The worker of a run that is late is ended, and another run may be in it by then.
  const late = expect.stringMatching(/^(DEADLINE_EXCEEDED|WORKER_LOST)$/)
  expect(await Promise.all([running, queued, sequence, ...flights])).toEqual(Array(5).fill(late))
  expect(waiting(signal)).toBe(0)
})

test('after it has fired', async () => {
  const mounted = await server('slow', 'kept', 'total')
  const release = hold()
  onTestFinished(release)
  const abort = new AbortController()
  const { signal } = abort
  const calls = [
    mounted.predict('slow', SHORT, { signal }),
    mounted.predict('slow', SHORT, { signal }),
    mounted.predict('kept', { x: [7] }, { signal }),
    mounted.predict('total', { x: [[1, 0]] }, { signal, sequence: { id: 1, start: true } }),
  ].map(codeOf)
  await posted()
  abort.abort()
  expect(await Promise.all(calls)).toEqual(Array(4).fill('ABORTED'))
  expect(await codeOf(mounted.predict('slow', SHORT, { signal }))).toBe('ABORTED')
  expect(waiting(signal)).toBe(0)
})

test('a Request that outlives its answer', async () => {
  const mounted = await server('kept')
  const handle = fetchHandler(mounted)
  const abort = new AbortController()
  const ask = (body: string) => {
    const request = new Request('http://a/v2/models/kept/infer', { method: 'POST', body, signal: abort.signal })
    return { request, answered: handle(request) }
  }
  for (const body of ['{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}', '{', '']) {
    const { request, answered } = ask(body)
    await answered
    expect(waiting(request.signal)).toBe(0)
  }
})

import pino from 'pino'
import { expect, test } from 'vitest'
import { createEvents, type ServerEvent } from '../../../src/core/model/events.ts'

const warning: ServerEvent = { type: 'warning', message: 'm' }

/** Listeners are told in a microtask. */
const told = (): Promise<void> => Promise.resolve()

test('a logger or listener that throws harms nobody', async () => {
  const fail = () => {
    throw new Error('on purpose')
  }
  const events = createEvents({ info: fail, warn: fail, error: fail })
  const seen: ServerEvent[] = []
  events.subscribe(fail)
  events.subscribe((event) => seen.push(event))
  expect(() => events.emit(warning)).not.toThrow()
  await told()
  expect(seen).toEqual([warning])
})

test('each subscription ends by itself', async () => {
  const events = createEvents({ info() {}, warn() {}, error() {} })
  let calls = 0
  const listener = () => {
    calls++
  }
  const [first, second] = [events.subscribe(listener), events.subscribe(listener)]
  events.emit(warning)
  await told()
  expect(calls).toBe(2)
  first()
  first()
  events.emit(warning)
  await told()
  expect(calls).toBe(3)
  events.emit(warning)
  second()
  await told()
  events.emit(warning)
  await told()
  expect(calls).toBe(3)
})

test('a listener is told when what has happened is complete, of nothing before its time, and before those who wait for it', async () => {
  const events = createEvents({ info() {}, warn() {}, error() {} })
  const order: string[] = []
  events.subscribe(() => order.push('told'))
  const happens = async (): Promise<void> => {
    events.emit(warning)
    events.subscribe(() => order.push('too early'))
    order.push('complete')
  }
  await happens()
  order.push('awaited')
  expect(order).toEqual(['complete', 'told', 'awaited'])
})

test('levels: failures are errors, fall-backs warnings, states information', () => {
  const lines: string[] = []
  const events = createEvents({
    info: (text) => lines.push(`info ${text}`),
    warn: (text) => lines.push(`warn ${text}`),
    error: (text) => lines.push(`error ${text}`),
  })
  const of = { model: 'm', version: '1' }
  events.emit({ type: 'model', ...of, state: 'ready' })
  events.emit({ type: 'model', ...of, state: 'failed', reason: 'why' })
  events.emit({ type: 'provider-fallback', ...of, wanted: 'cuda', using: 'cpu', reason: 'no library' })
  expect(lines).toEqual([
    'info m@1: ready',
    'error m@1: failed: why',
    "warn m@1: execution provider 'cuda' could not start, using 'cpu': no library",
  ])
})

test('pino gets the event as an object, Nest its own words, everybody else a line', async () => {
  const lines: string[] = []
  const log = pino({ base: null, timestamp: false }, { write: (line: string) => void lines.push(line) })
  const lost: ServerEvent = { type: 'worker-lost', model: 'm', version: '1', reason: 'gone', restartInMs: 100 }
  const events = createEvents(log)
  events.emit(lost)
  events.emit(warning)
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    {
      level: 50,
      event: 'worker-lost',
      model: 'm',
      version: '1',
      reason: 'gone',
      restartInMs: 100,
      msg: 'm@1: worker lost (gone), restarting in 100 ms',
    },
    { level: 40, event: 'warning', msg: 'm' },
  ])

  const said: unknown[][] = []
  const nest = createEvents({
    log: (...args: unknown[]) => said.push(['log', ...args]),
    warn: (...args: unknown[]) => said.push(['warn', ...args]),
    error: (...args: unknown[]) => said.push(['error', ...args]),
  })
  nest.emit(lost)
  nest.emit(warning)
  nest.emit({ type: 'model', model: 'm', version: '1', state: 'ready' })
  expect(said).toEqual([
    ['error', 'm@1: worker lost (gone), restarting in 100 ms', undefined, 'modelmount'],
    ['warn', 'm', 'modelmount'],
    ['log', 'm@1: ready', 'modelmount'],
  ])
})

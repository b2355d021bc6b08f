/** Where an instance of a small model runs, with threads that are made up: shared, tried first, moved out, seated again. */

import { expect, test } from 'vitest'
import type { Channel, ChannelEvents } from '../../../src/core/engine/channel.ts'
import type { FromWorker, Loaded, ToWorker } from '../../../src/core/engine/messages.ts'
import { createBerth, LONG_LOAD_MS } from '../../../src/core/engine/seats/berth.ts'
import type { SeatEvents } from '../../../src/core/engine/seats/thread.ts'
import { isPacket } from '../../../src/core/engine/wire/format.ts'

const LOAD = { kind: 'load', source: 'm.onnx', settings: { session: { intraOpNumThreads: 4 } } } as unknown as ToWorker
const loaded = (loadMs: number): FromWorker => ({ kind: 'loaded', loadMs }) as unknown as Loaded

const threadsOf = ({ settings }: Extract<ToWorker, { kind: 'load' }>): number => settings.session.intraOpNumThreads

/** A place that a channel leads to, as it was opened. */
interface Place<E> {
  readonly events: E
  readonly got: string[]
  closed: boolean
}

function setUp({ serving = false } = {}) {
  const seats: Place<SeatEvents>[] = []
  const own: Place<ChannelEvents>[] = []
  const moves: string[] = []
  let staleTold = 0

  const openAt =
    <E>(places: Place<E>[]) =>
    (events: E): Channel => {
      const place: Place<E> = { events, got: [], closed: false }
      places.push(place)
      return {
        post: (message) =>
          void (isPacket(message) || place.got.push(message.kind === 'load' ? `load ${threadsOf(message)}` : message.kind)),
        async close() {
          place.closed = true
        },
      }
    }

  let isServing = serving
  const serve = (): void => {
    isServing = true
  }
  const threads = {
    get serving() {
      return isServing
    },
    serve,
    prestart: () => () => {},
    seat: openAt(seats),
    seatsEach: 4,
  }
  const berth = createBerth({
    threads,
    openThread: openAt(own),
    moved: (reason) => moves.push(reason),
  })
  berth.onStale(() => staleTold++)

  function open() {
    const log: string[] = []
    const channel = berth.open({
      onMessage: (message) => isPacket(message) || log.push(message.kind),
      onExit: (reason, isInnocent = false) => log.push(`exit: ${reason}${isInnocent ? ' (innocent)' : ''}`),
      onLine() {},
    })
    channel.post(LOAD, [])
    return { channel, log }
  }
  return { berth, seats, own, moves, open, serve, staleTold: () => staleTold }
}

test('with the server it is loaded on a seat, for runs of one thread', () => {
  const { berth, seats, own, open } = setUp()
  const { log, channel } = open()
  seats[0]?.events.onMessage(loaded(3))
  channel.post({ kind: 'release' }, [])
  expect(seats[0]?.got).toEqual(['load 1', 'release'])
  expect([own.length, log, channel.isStale?.()]).toEqual([0, ['loaded'], false])
  expect(berth.tier.name).toBe('shared')
  expect(berth.seats).toBe(4)
})

test('beside requests it is loaded by itself first, and sits down if that was quick', () => {
  const { berth, seats, own, open } = setUp({ serving: true })
  const { log, channel } = open()
  expect([seats.length, own[0]?.got]).toEqual([0, ['load 4']])
  own[0]?.events.onMessage(loaded(LONG_LOAD_MS))
  expect([own[0]?.closed, seats[0]?.got, log]).toEqual([true, ['load 1'], []])
  seats[0]?.events.onMessage(loaded(2))
  expect(log).toEqual(['loaded'])
  expect(berth.tier.name).toBe('shared')
  // The next one is known.
  void channel.close()
  open()
  expect([own.length, seats.length]).toEqual([1, 2])
})

test('a long load stays where it was made', () => {
  const { berth, seats, own, moves, open } = setUp({ serving: true })
  const { log, channel } = open()
  own[0]?.events.onMessage(loaded(1234))
  channel.post({ kind: 'release' }, [])
  expect([log, seats.length, own[0]?.got]).toEqual([['loaded'], 0, ['load 4', 'release']])
  expect(moves).toEqual(['its load took 1234 ms'])
  expect(berth.tier).toEqual({ name: 'worker', reason: 'one worker thread for each instance: its load took 1234 ms' })
  expect(berth.seats).toBeUndefined()
  open()
  expect([own.length, seats.length]).toEqual([2, 0])
})

test('a long load with the server keeps its seat, and the next one is made apart', () => {
  const { berth, seats, own, open, serve } = setUp()
  const { channel } = open()
  seats[0]?.events.onMessage(loaded(900))
  serve()
  expect([berth.tier.name, channel.isStale?.(), own.length]).toEqual(['shared', false, 0])
  open()
  own[0]?.events.onMessage(loaded(2))
  expect([seats.length, own[0]?.closed, berth.tier.name]).toEqual([2, true, 'shared'])
})

test('a load that fails by itself never gets near the others', () => {
  const { seats, own, open } = setUp({ serving: true })
  const { log } = open()
  own[0]?.events.onMessage({ kind: 'load-failed', message: 'bad', fallbacks: [] })
  expect([log, seats.length]).toEqual([['load-failed'], 0])
})

test('a load that ends its own thread fails like any other', () => {
  const { seats, own, open } = setUp({ serving: true })
  const { log } = open()
  own[0]?.events.onExit('gone')
  expect([log, seats.length]).toEqual([['exit: gone'], 0])
})

test('it leaves a crowd: the channel is stale, and the next one leads to a thread of its own', () => {
  const { berth, seats, own, moves, open, staleTold } = setUp()
  const { channel } = open()
  seats[0]?.events.onMessage(loaded(1))
  seats[0]?.events.onCrowd('it is busy')
  expect([channel.isStale?.(), staleTold(), moves]).toEqual([true, 1, ['it is busy']])
  open()
  expect(own[0]?.got).toEqual(['load 4'])
  // The old one works until it is closed.
  channel.post({ kind: 'release' }, [])
  expect(seats[0]?.got.at(-1)).toBe('release')
  expect(berth.tier.name).toBe('worker')
})

test('a thread that ends in a job of its own makes it leave; by the job of another it stays, and is innocent', () => {
  for (const blame of ['own', 'others', 'unknown'] as const) {
    const { berth, seats, moves, open } = setUp()
    const { log } = open()
    seats[0]?.events.onMessage(loaded(1))
    seats[0]?.events.onExit('gone', blame)
    expect(log.at(-1)).toBe(blame === 'others' ? 'exit: gone (innocent)' : 'exit: gone')
    expect(berth.tier.name).toBe(blame === 'own' ? 'worker' : 'shared')
    expect(moves).toEqual(blame === 'own' ? ['a shared thread ended in the middle of one of its runs: gone'] : [])
  }
})

test('a load that waits is made elsewhere when the thread ends, and in a thread of its own when that does not end', () => {
  const { seats, own, open } = setUp()
  const { log } = open()
  for (let i = 0; i < 3; i++) seats.at(-1)?.events.onExit('gone', 'others')
  expect([seats.length, own[0]?.got, log]).toEqual([3, ['load 4'], []])
  own[0]?.events.onMessage(loaded(1))
  expect(log).toEqual(['loaded'])
})

test('held up by another model, it sits elsewhere: a load at once, a session by its next channel', () => {
  const { berth, seats, own, open, staleTold } = setUp()
  const waiting = open()
  seats[0]?.events.onStall()
  expect([seats.length, seats[0]?.got]).toEqual([2, ['load 1', 'release']])
  // The thread gets there at last: that answer is too late.
  seats[0]?.events.onMessage(loaded(1))
  expect(waiting.log).toEqual([])
  seats[0]?.events.onMessage({ kind: 'released' })
  expect(seats[0]?.closed).toBe(true)
  seats[1]?.events.onMessage(loaded(1))
  expect(waiting.log).toEqual(['loaded'])
  seats[1]?.events.onStall()
  expect([waiting.channel.isStale?.(), staleTold(), berth.tier.name, own.length]).toEqual([true, 1, 'shared', 0])
})

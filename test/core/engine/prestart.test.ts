/** A worker that starts before a check has ended: taken by the first caller, and gone if it is not needed. */

import { expect, test } from 'vitest'
import type { Channel, ChannelEvents } from '../../../src/core/engine/channel.ts'
import type { FromWorker, ToWorker } from '../../../src/core/engine/messages.ts'
import { prestart } from '../../../src/core/engine/prestart.ts'
import { createSimulatedClock } from '../../support/simulated-clock.ts'

const STARTED: FromWorker = { kind: 'digested', digests: [] }
const RELEASED: FromWorker = { kind: 'released' }

function setUp() {
  const clock = createSimulatedClock()
  const log: string[] = []
  const workers: ChannelEvents[] = []
  const spare = prestart(
    (events): Channel => {
      const id = workers.push(events)
      return {
        post: ({ kind }: ToWorker) => log.push(`${id} ${kind}`),
        async close() {
          log.push(`${id} close`)
        },
      }
    },
    clock,
    5,
  )
  const events = () => {
    const seen: string[] = []
    return {
      seen,
      onMessage: ({ kind }: FromWorker) => void seen.push(kind),
      onExit: (reason: string) => void seen.push(reason),
      onLine: (line: string) => void seen.push(line),
    }
  }
  return { clock, log, workers, spare, events }
}

test.each([true, false])('the first gets it, started already: %s', (isStarted) => {
  const { clock, log, workers, spare, events } = setUp()
  clock.runUntil(5)
  expect(log).toEqual(['1 digest'])
  if (isStarted) workers[0]?.onMessage(STARTED)
  const [first, second] = [events(), events()]
  spare.open(first).post({ kind: 'release' }, [])
  if (!isStarted) workers[0]?.onMessage(STARTED)
  workers[0]?.onMessage(RELEASED)
  workers[0]?.onLine('line')
  workers[0]?.onExit('crashed')
  expect(first.seen).toEqual(['released', 'line', 'crashed'])
  spare.open(second).post({ kind: 'release' }, [])
  spare.drop()
  expect(log).toEqual(['1 digest', '1 release', '2 release'])
})

test('what is known soon starts nothing', () => {
  const { clock, log, spare } = setUp()
  clock.runUntil(4)
  spare.settle()
  clock.runUntil(1000)
  expect(log).toEqual([])
})

test('who asks before it is started gets another, and none is started afterwards', () => {
  const { clock, log, spare, events } = setUp()
  spare.open(events()).post({ kind: 'release' }, [])
  clock.runUntil(1000)
  expect(log).toEqual(['1 release'])
  const dropped = setUp()
  dropped.spare.drop()
  dropped.clock.runUntil(1000)
  expect(dropped.log).toEqual([])
})

test('one that nobody takes is ended, but not in the middle of its start', () => {
  const { clock, log, workers, spare } = setUp()
  clock.runUntil(5)
  spare.drop()
  spare.drop()
  expect(log).toEqual(['1 digest'])
  workers[0]?.onMessage(STARTED)
  expect(log).toEqual(['1 digest', '1 close'])
  const started = setUp()
  started.clock.runUntil(5)
  started.workers[0]?.onMessage(STARTED)
  started.spare.drop()
  expect(started.log).toEqual(['1 digest', '1 close'])
})

test('one that ended by itself is replaced', () => {
  const { clock, log, workers, spare, events } = setUp()
  clock.runUntil(5)
  workers[0]?.onExit('no such package')
  spare.open(events()).post({ kind: 'release' }, [])
  expect(log).toEqual(['1 digest', '2 release'])
})

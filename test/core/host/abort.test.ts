/** A signal that many share: one listener while a caller waits, none otherwise. */

import { getEventListeners } from 'node:events'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ClientSignal } from '../../../src/adapters/client-signal.ts'
import { eitherSignal, onAbort } from '../../../src/core/host/abort.ts'

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length

test('however callers come and go, one listener stands for all, and none for none', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(9), { maxLength: 40 }), (steps) => {
      const abort = new AbortController()
      const leave = new Map<number, () => void>()
      const called: number[] = []
      for (const step of steps) {
        const known = leave.get(step)
        if (known) {
          known()
          // Twice is once.
          known()
          leave.delete(step)
        } else
          leave.set(
            step,
            onAbort(abort.signal, () => void called.push(step)),
          )
        expect(listeners(abort.signal)).toBe(leave.size > 0 ? 1 : 0)
      }
      abort.abort()
      expect(called.sort()).toEqual([...leave.keys()].sort())
      expect(listeners(abort.signal)).toBe(0)
      for (const end of leave.values()) end()
    }),
  )
})

test('a callback that leaves while the others are called keeps none of them from it', () => {
  const abort = new AbortController()
  const called: string[] = []
  const leaveFirst = onAbort(abort.signal, () => {
    called.push('first')
    leaveFirst()
    leaveLast()
  })
  onAbort(abort.signal, () => void called.push('second'))
  const leaveLast = onAbort(abort.signal, () => void called.push('last'))
  abort.abort()
  expect(called).toEqual(['first', 'second'])
})

test('the signal of one request loses its listener like any other', () => {
  const client = new ClientSignal()
  let called = 0
  const leave = onAbort(client, () => called++)
  onAbort(client, () => called++)
  leave()
  client.abort()
  client.abort()
  expect(called).toBe(1)
})

test.each(['one', 'other', 'neither'] as const)('of two signals %s fires, and both are left alone after it', (which) => {
  const signals = { one: new AbortController(), other: new AbortController() }
  const either = eitherSignal(signals.one.signal, signals.other.signal)
  expect(either.signal.aborted).toBe(false)
  if (which !== 'neither') {
    signals[which].abort(which)
    expect(either.signal).toMatchObject({ aborted: true, reason: which })
  }
  either.end()
  expect([listeners(signals.one.signal), listeners(signals.other.signal)]).toEqual([0, 0])
})

test('of two signals one has fired already, or is of an adapter, or is none', () => {
  const fired = AbortSignal.abort('before')
  const open = new AbortController()
  expect(eitherSignal(fired, open.signal).signal).toMatchObject({ aborted: true, reason: 'before' })
  expect(eitherSignal(open.signal, fired).signal).toMatchObject({ aborted: true, reason: 'before' })
  expect(eitherSignal(undefined, open.signal).signal).toBe(open.signal)
  const client = new ClientSignal()
  const either = eitherSignal(client, open.signal)
  client.abort()
  expect(either.signal.aborted).toBe(true)
})

/** Callers that are remembered for their bad values: for how long, and how many. */

import { expect, test } from 'vitest'
import { createSuspects, originOf } from '../../../src/core/scheduler/suspects.ts'
import { createSimulatedClock } from '../../support/simulated-clock.ts'

test('a caller is suspected for five seconds after its last bad value', () => {
  const clock = createSimulatedClock()
  const suspects = createSuspects(clock)
  suspects.add('a')
  clock.runUntil(4000)
  suspects.add('a')
  clock.runUntil(8999)
  expect(suspects.has('a')).toBe(true)
  expect(suspects.has('b')).toBe(false)
  clock.runUntil(9000)
  expect(suspects.has('a')).toBe(false)
})

test('at most 1,024 are remembered: the one whose last bad value is the oldest leaves', () => {
  const clock = createSimulatedClock()
  const suspects = createSuspects(clock)
  for (let i = 0; i < 1024; i++) suspects.add(`tenant ${i}`)
  suspects.add('tenant 0')
  suspects.add('newcomer')
  expect(suspects.size).toBe(1024)
  expect(suspects.has('tenant 0')).toBe(true)
  expect(suspects.has('tenant 1')).toBe(false)
  expect(suspects.has('tenant 2')).toBe(true)
  for (let i = 0; i < 100_000; i++) suspects.add(Symbol('connection'))
  expect(suspects.size).toBe(1024)
})

test('those whose time is over are forgotten when another comes, or when they ask', () => {
  const clock = createSimulatedClock()
  const suspects = createSuspects(clock)
  for (let i = 0; i < 100; i++) suspects.add(i % 2 ? `tenant ${i}` : Symbol('connection'))
  clock.runUntil(5000)
  expect(suspects.has('tenant 1')).toBe(false)
  expect(suspects.size).toBe(99)
  suspects.add('late')
  expect(suspects.size).toBe(1)
})

test('a tenant goes by its name, others by their connection, and who has neither is not remembered', () => {
  const connection = Symbol('connection')
  expect(originOf({ tenant: 'a', connection })).toBe('a')
  expect(originOf({ tenant: '', connection })).toBe(connection)
  const suspects = createSuspects(createSimulatedClock())
  suspects.add(originOf({ tenant: '' }))
  expect(suspects.size).toBe(0)
  expect(suspects.has(originOf({ tenant: '' }))).toBe(false)
})

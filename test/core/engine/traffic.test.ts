/** Which model leaves a shared thread, by a second of its work. */

import { expect, test } from 'vitest'
import { WINDOW_MS, whoLeaves } from '../../../src/core/engine/seats/traffic.ts'

const seat = (seat: number, busyMs: number, { jobs = 100, longRuns = 0 } = {}) => ({ seat, busyMs, jobs, longRuns })
const idle = (number: number) => seat(number, 0, { jobs: 0 })

test('of a crowded thread the busiest one', () => {
  expect(whoLeaves([seat(0, 100), seat(1, 500), seat(2, 50), idle(3)], WINDOW_MS)).toEqual({
    seat: 1,
    reason: 'it took 50 % of the time of a thread that it shared with models under load',
  })
})

test('none of a thread that has room', () => {
  expect(whoLeaves([seat(0, 100), seat(1, 400), seat(2, 50)], WINDOW_MS)).toBeUndefined()
})

test('none that has the thread to itself, however busy it is', () => {
  expect(whoLeaves([seat(0, 990), idle(1), idle(2)], WINDOW_MS)).toBeUndefined()
})

test('one whose runs are long, even alone, but for a few that a busy machine may have held up', () => {
  expect(whoLeaves([idle(0), seat(1, 50, { jobs: 6, longRuns: 5 })], WINDOW_MS)).toEqual({
    seat: 1,
    reason: 'its runs take longer than those of a small model',
  })
  expect(whoLeaves([seat(1, 50, { jobs: 4, longRuns: 4 })], WINDOW_MS)).toBeUndefined()
  expect(whoLeaves([seat(1, 50, { jobs: 100, longRuns: 10 })], WINDOW_MS)).toBeUndefined()
})

test('the share is of the time that went by', () => {
  expect(whoLeaves([seat(0, 700), seat(1, 100)], 2 * WINDOW_MS)).toBeUndefined()
})

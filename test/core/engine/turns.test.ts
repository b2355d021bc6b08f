/** Sessions of one worker do their jobs in turn. */

import { expect, test } from 'vitest'
import { createTurns } from '../../../src/core/engine/turns.ts'

function logged() {
  const done: string[] = []
  const job = (name: string) => async (): Promise<void> => {
    await null
    done.push(name)
  }
  return { done, job }
}

test('a session with many jobs lets each other one in after every job of its own', async () => {
  const turns = createTurns()
  const { done, job } = logged()
  const [busy, quiet, third] = [turns.line(), turns.line(), turns.line()]
  for (let i = 0; i < 5; i++) busy.add(job(`busy ${i}`))
  quiet.add(job('quiet'))
  third.add(job('third 0'))
  third.add(job('third 1'))
  await expect.poll(() => done).toHaveLength(8)
  expect(done.slice(0, 5)).toEqual(['busy 0', 'quiet', 'third 0', 'busy 1', 'third 1'])
})

test('a job that comes while another session is busy is next, although it was received between turns of the event loop', async () => {
  const turns = createTurns()
  const { done, job } = logged()
  const [busy, quiet] = [turns.line(), turns.line()]
  for (let i = 0; i < 100; i++) busy.add(job('busy'))
  setImmediate(() => quiet.add(job('quiet')))
  await expect.poll(() => done).toHaveLength(101)
  expect(done.indexOf('quiet')).toBeLessThan(4)
})

test('jobs of one session are done in their order, one at a time', async () => {
  const turns = createTurns()
  const { done, job } = logged()
  const line = turns.line()
  let running = 0
  for (const name of ['first', 'second', 'third'])
    line.add(async () => {
      expect(++running).toBe(1)
      await job(name)()
      running--
    })
  await expect.poll(() => done).toEqual(['first', 'second', 'third'])
})

test('a session that has left has no turns', async () => {
  const turns = createTurns()
  const { done, job } = logged()
  const [one, two, three] = [turns.line(), turns.line(), turns.line()]
  two.leave()
  for (const line of [one, three]) for (let i = 0; i < 3; i++) line.add(job(line === one ? 'one' : 'three'))
  await expect.poll(() => done).toEqual(['one', 'three', 'one', 'three', 'one', 'three'])
})

/** The messages of a worker: one at a time, in order, and without a turn of the event loop between those that wait. */

import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { createInbox } from '../../../src/core/engine/inbox.ts'

test('one message is handled after the other, whatever their handlers wait for', async () => {
  const log: string[] = []
  const finish: (() => void)[] = []
  const inbox = createInbox<string>({
    async handle(message) {
      log.push(`begin ${message}`)
      await new Promise<void>((resolve) => finish.push(resolve))
      log.push(`end ${message}`)
    },
  })
  inbox.add('a')
  inbox.add('b')
  expect(log).toEqual(['begin a'])
  finish.shift()?.()
  await expect.poll(() => log).toEqual(['begin a', 'end a', 'begin b'])
  inbox.add('c')
  finish.shift()?.()
  await expect.poll(() => log.at(-1)).toBe('begin c')
  finish.shift()?.()
  await expect.poll(() => log.at(-1)).toBe('end c')
})

test('messages that came to a port meanwhile are taken in the same turn, after those that were received', async () => {
  const { port1: host, port2: port } = new MessageChannel()
  const log: unknown[] = []
  const inbox = createInbox<unknown>({
    async handle(message) {
      log.push(message)
      if (message === 'first') host.postMessage('last')
    },
    take: () => receiveMessageOnPort(port)?.message,
  })
  // Neither port is read by the event loop.
  inbox.add('first')
  inbox.add('second')
  for (let i = 0; i < 20; i++) await undefined
  expect(log).toEqual(['first', 'second', 'last'])
  host.close()
})

test('an endless row of messages leaves turns to the event loop', async () => {
  let handled = 0
  let isOver = false
  const inbox = createInbox<string>({
    async handle() {
      handled++
    },
    take: () => (isOver ? undefined : 'more'),
  })
  inbox.add('first')
  await new Promise((resolve) => setImmediate(resolve))
  expect(handled).toBe(33)
  inbox.add('again')
  await new Promise((resolve) => setImmediate(resolve))
  isOver = true
  expect(handled).toBe(66)
})

/** The host's end: its waits, and the children that it ends. The listener of `exit` is called as Node would. */

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { expect, onTestFinished, test } from 'vitest'
import { guardChild, guardThread } from '../../../src/core/engine/exit-guard.ts'
import { PENDING, STOP } from '../../../src/core/engine/messages.ts'

const flagsOf = (pending: number): Int32Array => {
  const flags = new Int32Array(new SharedArrayBuffer(8))
  flags[PENDING] = pending
  return flags
}

/** Listeners to the end because of a guarded worker. */
function ending(): () => void {
  const before = process.listeners('exit')
  guardChild(() => {})()
  const [mine = before.find(({ name }) => name === 'onExit')] = process.listeners('exit').filter((each) => !before.includes(each))
  return () => (mine as () => void)()
}

test('one listener, however much is guarded', () => {
  ending()
  const count = process.listenerCount('exit')
  for (let i = 0; i < 3; i++) guardThread(flagsOf(0))()
  guardChild(() => {})()
  expect(process.listenerCount('exit')).toBe(count)
})

test('children are killed that are still there, and threads are told to stop', () => {
  const end = ending()
  const killed: string[] = []
  const [there, gone] = [flagsOf(0), flagsOf(0)]
  onTestFinished(guardChild(() => killed.push('there')))
  guardChild(() => killed.push('gone'))()
  onTestFinished(guardThread(there))
  // It is not waited for: its run would never end.
  Atomics.store(gone, PENDING, 1)
  guardThread(gone)()
  end()
  expect(killed).toEqual(['there'])
  expect([there[STOP], gone[STOP]]).toEqual([1, 0])
})

test('a run of a thread is waited for until it has ended, and the one behind it', async () => {
  const end = ending()
  const flags = flagsOf(2)
  onTestFinished(guardThread(flags))
  const code = `
    const { parentPort, workerData: flags } = require('node:worker_threads')
    parentPort.postMessage('here')
    while (Atomics.load(flags, ${STOP}) === 0);
    for (let left = 2; left > 0; left--) {
      for (let i = 0; i < 1e6; i++) Atomics.load(flags, ${PENDING})
      Atomics.sub(flags, ${PENDING}, 1)
      Atomics.notify(flags, ${PENDING})
    }`
  const worker = new Worker(code, { eval: true, workerData: flags })
  onTestFinished(async () => void (await worker.terminate()))
  await once(worker, 'message')
  end()
  expect(Atomics.load(flags, PENDING)).toBe(0)
})

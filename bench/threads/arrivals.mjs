/**
 * The load generator of the open-loop benches, in a thread of its own: says when requests are due, at random times that do not depend on
 * answers. It sleeps with Atomics.wait, which is exact to some hundredths of a millisecond where timers are to one. Plain JavaScript, because
 * threads do not inherit tsx.
 */

import { hrtime } from 'node:process'
import { parentPort } from 'node:worker_threads'

const nowMs = () => Number(hrtime.bigint()) / 1e6
const bed = new Int32Array(new SharedArrayBuffer(4))

parentPort.on('message', ({ perSecond, ms }) => {
  const gap = () => (-Math.log(1 - Math.random()) * 1000) / perSecond
  const start = nowMs()
  let due = start + gap()
  while (due < start + ms) {
    const wait = due - nowMs()
    if (wait > 0) Atomics.wait(bed, 0, 0, wait)
    // All that are due by now: a thread that woke up late must not lose any.
    const dues = []
    for (const now = nowMs(); due <= now && due < start + ms; due += gap()) dues.push(due)
    if (dues.length > 0) parentPort.postMessage(dues)
  }
  parentPort.postMessage('end')
})

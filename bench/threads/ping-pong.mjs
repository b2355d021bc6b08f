/**
 * A worker thread that gets floats, is busy for a given time, and sends floats back: the cost of a bare hop between threads. Both ways
 * transferred, over a `MessageChannel`, as modelmount does. Plain JavaScript, because threads do not inherit tsx.
 */

import { parentPort } from 'node:worker_threads'

/** Floats that come back; as many as the tiny model's outputs. */
const OUTPUTS = 2

parentPort.once('message', (port) => {
  port.on('message', ({ busyMs }) => {
    const end = performance.now() + busyMs
    while (performance.now() < end);
    const output = new Float32Array(OUTPUTS)
    port.postMessage(output, [output.buffer])
  })
})

/** The overhead of `predict()` over the bare hop between two threads that isolation costs in any case. */

import { MessageChannel, Worker } from 'node:worker_threads'
import { mlpModel } from '../tools/models.mjs'
import { SESSION } from './lib/direct.ts'
import { rotatingFloats } from './lib/inputs.ts'
import { latencies } from './lib/loops.ts'
import { measurePairs } from './lib/pairs.ts'
import { createProvedServer } from './lib/proved.ts'
import { type Bench, milliseconds, pairedRow } from './lib/row.ts'
import { median } from './lib/stats.ts'
import { PROMISES } from './promises.ts'

const MS = 500

/** One hop there and back with that much work at the other end. */
export function startPingPong(): { ping(input: Float32Array, busyMs: number): Promise<unknown>; stop(): Promise<unknown> } {
  const worker = new Worker(new URL('threads/ping-pong.mjs', import.meta.url))
  const { port1, port2 } = new MessageChannel()
  worker.postMessage(port2, [port2])
  let done: ((answer: unknown) => void) | undefined
  port1.on('message', (answer) => done?.(answer))
  return {
    ping: (floats, busyMs) =>
      new Promise((resolve) => {
        done = resolve
        const input = floats.slice()
        port1.postMessage({ input, busyMs }, [input.buffer])
      }),
    stop() {
      port1.close()
      return worker.terminate()
    },
  }
}

export const oneCaller: Bench = {
  name: 'one-caller',
  limitS: 60,
  async run() {
    const source = mlpModel({ layers: [32, 16, 2] })
    const server = await createProvedServer({ models: [{ name: 'm', source, session: SESSION, inline: false }], strict: true })
    const pingPong = startPingPong()
    const input = rotatingFloats(32)
    /** The model's busy time in the worker during the last run of ours. */
    let busyMs = 0.01
    const pairs = await measurePairs({
      async ours() {
        const runs: number[] = []
        const samples = await latencies(MS, async (i) => {
          runs.push((await server.predict('m', { features: input(i) })).timings.inferMs)
        })
        busyMs = median(runs)
        return median(samples)
      },
      rival: async () => median(await latencies(MS, (i) => pingPong.ping(input(i), busyMs))),
    })
    await Promise.all([pingPong.stop(), server.close()])
    return [
      pairedRow({
        bench: 'one-caller',
        what: 'predict() p50, 32-16-2 MLP, 1 caller',
        rival: 'limit: message to a worker thread that is busy as long, and back',
        pairs,
        format: milliseconds,
        target: PROMISES.oneCaller,
        how: `one call at a time for ${MS} ms`,
        note: `the model itself takes ${milliseconds(busyMs)}`,
      }),
    ]
  },
}

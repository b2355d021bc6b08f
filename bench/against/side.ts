/** One of the two builds behind one front, ready to take turns. */

import type { BuildAnswer, BuildAsk, StartAnswer } from '../children/build.ts'
import type { LoadAnswer, LoadAsk } from '../children/load.ts'
import { startChild } from '../lib/child.ts'
import type { Turn } from './verdict.ts'
import type { Load, Way } from './ways.ts'

export interface Side {
  readonly answer: ArrayLike<number>
  readonly cpuClock: string
  turn(load: Load, ms: number): Promise<Turn>
  stop(): Promise<void>
}

export interface SideAsk {
  readonly dist: string
  readonly way: Way
  readonly model: Uint8Array
  readonly sample: Float32Array
  readonly requests: readonly Buffer[]
}

/** Starts the build's process, and for a front with connections one that sends requests. */
export async function startSide({ dist, way, model, sample, requests }: SideAsk): Promise<Side> {
  const host = startChild<BuildAsk, BuildAnswer>('children/build.ts')
  const { front, input, rows } = way
  const start = host.ask({ kind: 'start', dist, front, input, rows, model, sample })
  const { port, answer, cpuClock } = (await start) as StartAnswer
  if (port === undefined) {
    const turn = async ({ callers }: Load, ms: number) => (await host.ask({ kind: 'turn', callers, ms })) as Turn
    return { answer, cpuClock, turn, stop: () => host.stop() }
  }
  const sender = startChild<LoadAsk, LoadAnswer>('children/load.ts')
  return {
    answer,
    cpuClock,
    async turn({ callers }, ms) {
      const cpu = (await host.ask({ kind: 'cpu' })) as number
      const { answered, rate, failures } = await sender.ask({ port, connections: callers, ms, requests, stay: true })
      if (failures > 0) throw new Error(`${failures} requests failed`)
      const cpuMs = ((await host.ask({ kind: 'cpu' })) as number) - cpu
      return { calls: answered, wallMs: (answered * 1000) / rate, cpuMs }
    },
    async stop() {
      await sender.stop()
      await host.stop()
    },
  }
}

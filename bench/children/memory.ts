/** The process whose memory is watched. Runs with --expose-gc, so that only live memory counts. */

import { setTimeout as sleep } from 'node:timers/promises'
import { createModelServer } from 'modelmount'
import { mlpModel } from '../../tools/models.mjs'
import { answerParent } from '../lib/child.ts'
import { SESSION } from '../lib/direct.ts'
import { rotatingFloats } from '../lib/inputs.ts'
import { callTimes } from '../lib/loops.ts'
import { createProvedServer } from '../lib/proved.ts'

export type MemoryAsk = {
  readonly kind: 'cycles' | 'predictions'
  readonly warmUp: number
  readonly total: number
  readonly limitMs: number
}

export interface MemoryAnswer {
  /** Resident bytes after the warm-up, half way, and at the end. */
  readonly rss: readonly [start: number, middle: number, end: number]
  /** The part of it that V8 holds for JavaScript, used or not. */
  readonly heap: readonly [start: number, middle: number, end: number]
  /** Repetitions between middle and end; fewer than asked for when time ran out. */
  readonly secondHalf: number
  readonly done: number
}

const source = mlpModel({ layers: [32, 16, 2] })

/** The smallest of some readings: pages that are about to be given back are not held. */
async function settled(): Promise<{ readonly rss: number; readonly heap: number }> {
  const { gc } = globalThis
  if (!gc) throw new Error('needs --expose-gc')
  let rss = Number.POSITIVE_INFINITY
  for (let i = 0; i < 5; i++) {
    gc()
    await sleep(60)
    rss = Math.min(rss, process.memoryUsage.rss())
  }
  return { rss, heap: process.memoryUsage().heapTotal }
}

type Repeat = (times: number, until: number) => Promise<number>

async function cycles(): Promise<Repeat> {
  const server = await createModelServer({ models: [], session: SESSION })
  return async (times, until) => {
    let done = 0
    for (; done < times && performance.now() < until; done++) {
      await server.load({ name: 'm', source })
      await server.unload('m')
    }
    return done
  }
}

async function predictions(): Promise<Repeat> {
  const server = await createProvedServer({ models: [{ name: 'm', source }], session: SESSION, strict: true })
  const input = rotatingFloats(32)
  return async (times) => {
    await callTimes(64, times, (i) => server.predict('m', { features: input(i) }))
    return times
  }
}

answerParent(async ({ kind, warmUp, total, limitMs }: MemoryAsk): Promise<MemoryAnswer> => {
  const start = performance.now()
  const repeat = await (kind === 'cycles' ? cycles() : predictions())
  await repeat(warmUp, Number.POSITIVE_INFINITY)
  const a = await settled()
  const first = await repeat(total / 2, start + limitMs / 2)
  const b = await settled()
  const secondHalf = await repeat(total / 2, start + limitMs)
  const c = await settled()
  return { rss: [a.rss, b.rss, c.rss], heap: [a.heap, b.heap, c.heap], secondHalf, done: first + secondHalf }
})

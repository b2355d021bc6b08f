/** Whether memory comes back: after many load/unload cycles, and after many predictions. */

import type { MemoryAnswer, MemoryAsk } from './children/memory.ts'
import { startChild } from './lib/child.ts'
import { type Bench, megabytes, type Row } from './lib/row.ts'

/** Growth of the second half that still counts as flat: the memory kept by allocators varies by some megabytes. */
const SLACK_RATIO = 0.1
const SLACK_BYTES = 20 * 2 ** 20

/**
 * V8 enlarges its young generation in steps, up to 100 MB and more on Node 24, whenever it sees fit. That is no leak and would drown one,
 * so it is bounded to what the warm-up fills.
 */
const NODE_FLAGS = ['--expose-gc', '--max-semi-space-size=8']

const ASKS: readonly { readonly ask: MemoryAsk; readonly unit: string; readonly thing: string }[] = [
  { ask: { kind: 'cycles', warmUp: 100, total: 1000, limitMs: 120_000 }, unit: 'cycle', thing: 'load/unload cycles' },
  {
    ask: { kind: 'predictions', warmUp: 100_000, total: 100_000, limitMs: 40_000 },
    unit: 'prediction',
    thing: 'predictions (64 callers)',
  },
]

function rowOf({ ask, unit, thing }: (typeof ASKS)[number], { rss, heap, secondHalf, done }: MemoryAnswer): Row {
  const [start, middle, end] = rss
  const each = (end - middle) / Math.max(1, secondHalf)
  // A slow machine may do fewer; their growth counts as if all had been done.
  const growth = each * (ask.total / 2)
  return {
    bench: 'memory',
    what: `RSS of a process that does ${thing}`,
    ours: `${megabytes(end)} after ${done}`,
    rival: `half way: ${megabytes(middle)}`,
    ratio: { median: end / middle, min: end / middle, max: end / middle },
    floor: `<= ${1 + SLACK_RATIO} or + ${megabytes(SLACK_BYTES)}`,
    goal: '',
    met: undefined,
    pass: growth <= Math.max(SLACK_BYTES, SLACK_RATIO * middle),
    pairs: 1,
    unsteady: 0,
    how: 'with itself half way, garbage collected first',
    note: `${megabytes(start)} after the warm-up of ${ask.warmUp} (heap ${heap.map(megabytes).join(', ')} at the three points); second half grew ${(each / 1024).toFixed(2)} kB per ${unit}`,
  }
}

export const memory: Bench = {
  name: 'memory',
  limitS: 240,
  async run() {
    const rows: Row[] = []
    for (const what of ASKS) {
      const child = startChild<MemoryAsk, MemoryAnswer>('children/memory.ts', NODE_FLAGS)
      rows.push(rowOf(what, await child.ask(what.ask)))
      await child.stop()
    }
    return rows
  },
}

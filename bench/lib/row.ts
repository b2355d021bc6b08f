/** What a bench hands back, and how a row is judged. */

import type { Pairs } from './pairs.ts'
import { median } from './stats.ts'

export interface Target {
  readonly op: '>=' | '<='
  readonly value: number
}

export interface Row {
  readonly bench: string
  readonly what: string
  /** Median of ours, with its unit. */
  readonly ours: string
  /** Name of the rival or limit and its median, with the same unit. */
  readonly rival: string
  readonly ratio: { readonly median: number; readonly min: number; readonly max: number } | undefined
  /** As printed; `report` for a row that promises nothing. */
  readonly target: string
  /** `undefined` for a row without a target. */
  readonly pass: boolean | undefined
  readonly pairs: number
  /** Pairs whose two baselines disagreed even after the allowed repetitions. */
  readonly unsteady: number
  /** How the two sides were compared, in a few words. */
  readonly how: string
  readonly note?: string
}

export interface Bench {
  readonly name: string
  /** Longest time it may take; the runner ends it then and counts it as failed. */
  readonly limitS: number
  run(): Promise<Row[]>
}

interface PairedRow {
  readonly bench: string
  readonly what: string
  readonly rival: string
  readonly pairs: Pairs
  readonly format: (value: number) => string
  readonly target?: Target
  /** @default 'in turn' */
  readonly how?: string
  readonly note?: string
}

export function pairedRow({ bench, what, rival, pairs, format, target, how = 'in turn', note }: PairedRow): Row {
  const ratio = { median: median(pairs.ratios), min: Math.min(...pairs.ratios), max: Math.max(...pairs.ratios) }
  return {
    bench,
    what,
    ours: format(median(pairs.ours)),
    rival: `${rival}: ${format(median(pairs.rival))}`,
    ratio,
    target: target ? `${target.op} ${target.value}` : 'report',
    pass: target && meets(ratio.median, target),
    pairs: pairs.ratios.length,
    unsteady: pairs.unsteady,
    how: `${how}, ${pairs.ratios.length} pair${pairs.ratios.length > 1 ? 's' : ''}`,
    note,
  }
}

const meets = (value: number, { op, value: limit }: Target): boolean => (op === '>=' ? value >= limit : value <= limit)

export const perSecond = (rate: number): string => (rate >= 10_000 ? `${(rate / 1000).toFixed(1)}k/s` : `${rate.toFixed(0)}/s`)
export const milliseconds = (ms: number): string => `${ms.toFixed(ms < 1 ? 3 : 1)} ms`
export const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MB`

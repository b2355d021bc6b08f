/** The result of a bench, and the judgement of a row. */

import type { Pairs } from './pairs.ts'
import { median } from './stats.ts'

export interface Target {
  readonly op: '>=' | '<='
  /** Missing it is red. */
  readonly floor: number
  /** Printed, never red; the floor or better. */
  readonly goal: number
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
  readonly floor: string
  readonly goal: string
  /** Whether the floor is held; `undefined` for a row without one. */
  readonly pass: boolean | undefined
  /** Whether the goal is reached; `undefined` for a row without one. */
  readonly met: boolean | undefined
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

interface Claim {
  readonly bench: string
  readonly what: string
  readonly target?: Target
  readonly note?: string
}

interface PairedRow extends Claim {
  readonly rival: string
  readonly pairs: Pairs
  readonly format: (value: number) => string
  /** @default 'in turn' */
  readonly how?: string
}

export function pairedRow({ rival, pairs, format, how = 'in turn', ...claim }: PairedRow): Row {
  const { ratios, unsteady } = pairs
  return {
    ...rowOfRatios({
      ...claim,
      ours: format(median(pairs.ours)),
      rival: `${rival}: ${format(median(pairs.rival))}`,
      ratios,
      how: `${how}, ${ratios.length} pair${ratios.length > 1 ? 's' : ''}`,
    }),
    unsteady,
  }
}

interface RowOfRatios extends Claim {
  readonly ours: string
  readonly rival: string
  /** One or several; the median is judged. */
  readonly ratios: readonly number[]
  readonly how: string
}

/** For sides that the state of the machine does not disturb: fixed limits, simulated clocks. */
export function rowOfRatios({ ratios, target, ...rest }: RowOfRatios): Row {
  const ratio = { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) }
  return {
    ...rest,
    ratio,
    floor: target ? `${target.op} ${target.floor}` : 'report',
    goal: target ? `${target.op} ${target.goal}` : '',
    pass: target && meets(ratio.median, target.op, target.floor),
    met: target && meets(ratio.median, target.op, target.goal),
    pairs: ratios.length,
    unsteady: 0,
  }
}

const meets = (value: number, op: Target['op'], limit: number): boolean => (op === '>=' ? value >= limit : value <= limit)

export const perSecond = (rate: number): string => (rate >= 10_000 ? `${(rate / 1000).toFixed(1)}k/s` : `${rate.toFixed(0)}/s`)
export const milliseconds = (ms: number): string => `${ms.toFixed(ms < 1 ? 3 : 1)} ms`
export const microseconds = (us: number): string => `${us.toFixed(us < 10 ? 2 : 1)} us`
export const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MB`

/**
 * Now and then repeats a row of a shared run alone. A proof with a few rows cannot cover all values.
 * A model whose rows influence each other only for some values must not continue to share runs.
 */

import { randomInt } from 'node:crypto'
import type { TensorRecord } from '../engine/frame.ts'
import type { Run, RunOutcome } from '../engine/run.ts'
import type { Tensor } from '../tensor/types.ts'
import type { Part } from './entry.ts'
import { copyAll } from './join.ts'

/** One row in this many. */
const ONE_IN = 4096
/** Largest share of all run time that checks may take. */
const SHARE = 0.01
/** Inputs beyond this size are not copied for a check. */
const MAX_BYTES = 2 ** 20
/** Differences that end the sharing of runs: a single one may be a tie that rounding broke. */
const DIFFERENCES = 2

/** A request to repeat, and its answer. */
export interface Check {
  readonly run: Run
  readonly answered: TensorRecord
}

export interface Recheck {
  /** Counts the time of a run. */
  ran(ms: number): void
  /** Counts that many rows of a shared run, unless one of them is to be chosen. */
  passes(rows: number): boolean
  /**
   * Chooses among the members of a shared run, hardly ever one.
   * @param expectedMs duration of the member's run alone
   */
  choose(members: readonly Part[], pieces: readonly TensorRecord[], expectedMs: number): Check | undefined
  /** Compares. @returns why runs must not be shared any more, if so */
  judge(check: Check, outcome: RunOutcome): string | undefined
}

/** Unpredictable, so that callers cannot tell which row comes next. */
const unpredictable = (): number => (randomInt(2 ** 32) + 1) / 2 ** 32

interface Deps {
  /** Whether two outputs are the same, up to rounding. */
  same(alone: Tensor, together: Tensor): boolean
  /** From 0, exclusive, to 1. @default unpredictable */
  readonly random?: () => number
}

export function createRecheck({ same, random = unpredictable }: Deps): Recheck {
  /** Rows until the next check, distributed as if each row were drawn by itself. */
  const draw = (): number => 1 + Math.floor(Math.log(random()) / Math.log(1 - 1 / ONE_IN))
  let left = draw()
  let ranMs = 0
  let checkedMs = 0
  let differences = 0

  function chosen(members: readonly Part[]): number {
    let at = -1
    for (const [index, { rows }] of members.entries()) {
      left -= rows
      if (left > 0) continue
      at = index
      left = draw()
    }
    return at
  }

  return {
    ran(ms) {
      ranMs += ms
    },
    passes(rows) {
      if (left <= rows) return false
      left -= rows
      return true
    },
    choose(members, pieces, expectedMs) {
      const at = chosen(members)
      const [member, piece] = [members[at], pieces[at]]
      if (!member || !piece || member.bytes > MAX_BYTES || checkedMs + expectedMs > SHARE * ranMs) return undefined
      // Copies, because both belong to the caller after the answer.
      return { run: { inputs: copyAll(member.run.inputs), fetches: member.run.fetches }, answered: copyAll(piece) }
    },
    judge({ answered }, outcome) {
      checkedMs += outcome.inferMs
      // A failed run says nothing about neighbours.
      if ('error' in outcome) return undefined
      const different = Object.keys(answered).find((name) => {
        const [alone, together] = [outcome.outputs[name], answered[name]]
        return alone && together && !same(alone, together)
      })
      if (different === undefined || ++differences < DIFFERENCES) return undefined
      return `while serving, output '${different}' of a row was seen to change when other rows ran beside it`
    },
  }
}

/**
 * The most rows of a run, corrected while the model serves: a machine that was busy during the warm-up must not decide for ever.
 *
 * Half or twice the size is tried now and then, in turn with the size in use, if enough requests wait for both. Other load on the machine
 * therefore weighs on both alike. A size is never judged by earlier conditions, or by a line through other sizes, because a model gets
 * slower where it outgrows the caches. A trial takes some dozens of runs. Each trial without a result halves the frequency of the next.
 */

export interface Cap {
  /** Most rows of a run. */
  readonly rows: number
  /**
   * The same for the next run with that many waiting rows: another size on its turn in a trial.
   * @param now milliseconds, as for `observe`
   */
  next(waiting: number, now: number): number
  observe(rows: number, ms: number, now: number): void
}

type Direction = 'up' | 'down'
const OPPOSITE = { up: 'down', down: 'up' } as const

/** Time from one trial in a direction to the next, at first and at most. */
const FIRST_WAIT_MS = 10_000
const MOST_WAIT_MS = 30 * 60_000
/** A trial without enough runs by then is called off without a result. */
const TRIAL_MS = 60_000
/** Runs of each of the two sizes. */
const RUNS = 12
/** A larger size must do this many times the rows in the same time, or it is not worth the wait of its first rows. */
const UP_GAIN = 1.08
/** A smaller one may need this many times the time per row. Between the two bounds nothing changes, so that noise changes nothing. */
const DOWN_LOSS = 1.03
/** Requests of several rows seldom fill a run exactly. */
const NEARLY_FULL = 0.75

interface Trial {
  readonly direction: Direction
  readonly size: number
  readonly since: number
  /** Milliseconds per row of the runs so far, for the size in use and the other one. */
  readonly usual: number[]
  readonly other: number[]
}

/**
 * @param start the result of the warm-up
 * @param sizes the sizes to try, ascending
 * @param maxRunMs longest time that a run may take
 */
export function createCap(start: number, sizes: readonly number[], maxRunMs: number): Cap {
  let rows = start
  let trial: Trial | undefined
  const waitMs = { up: FIRST_WAIT_MS, down: FIRST_WAIT_MS }
  /** Start of the next trial in each direction; counted from the first run. */
  let due: Record<Direction, number> | undefined

  const sizeTo = (direction: Direction): number | undefined =>
    direction === 'up' ? sizes.find((size) => size > rows) : sizes.findLast((size) => size < rows)

  function begin(waiting: number, now: number): void {
    due ??= { up: now + waitMs.up, down: now + waitMs.down }
    for (const direction of ['up', 'down'] as const) {
      const size = sizeTo(direction)
      if (size === undefined || size === 1 || waiting < Math.max(size, rows) || now < due[direction]) continue
      trial = { direction, size, since: now, usual: [], other: [] }
      return
    }
  }

  function decide({ direction, size, usual, other }: Trial, now: number): void {
    const cost = median(other)
    const ratio = cost / median(usual)
    const better = direction === 'up' ? ratio * UP_GAIN <= 1 && cost * size <= maxRunMs : ratio <= DOWN_LOSS
    if (better) rows = size
    // A size that goes back and forth does so ever more slowly.
    end(better ? OPPOSITE[direction] : direction, now)
  }

  /** @param slower direction that is tried half as often from now on */
  function end(slower: Direction, now: number): void {
    trial = undefined
    waitMs[slower] = Math.min(MOST_WAIT_MS, 2 * waitMs[slower])
    due = { up: now + waitMs.up, down: now + waitMs.down }
  }

  return {
    get rows() {
      return rows
    },
    next(waiting, now) {
      if (trial && now > trial.since + TRIAL_MS) end(trial.direction, now)
      if (!trial) begin(waiting, now)
      if (!trial || waiting < Math.max(trial.size, rows)) return rows
      return trial.other.length < trial.usual.length ? trial.size : rows
    },
    observe(seen, ms, now) {
      if (!trial) return
      const isOf = (size: number): boolean => seen <= size && seen > NEARLY_FULL * size
      const runs = isOf(trial.size) ? trial.other : isOf(rows) ? trial.usual : undefined
      if (!runs || runs.length === RUNS) return
      runs.push(ms / seen)
      if (Math.min(trial.usual.length, trial.other.length) >= RUNS) decide(trial, now)
    },
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[sorted.length >> 1] as number
}

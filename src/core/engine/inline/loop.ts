/**
 * The event loop of the host: whether it has room for a run of microseconds, and whose turn it is. It belongs to the process, so all servers
 * of a process share one.
 */

import { type Clock, systemClock, type Timer } from '../../host/clock.ts'

export interface HostLoop {
  /**
   * True while callbacks that were due came at most a millisecond late: the median of the last second, because a machine that takes the CPU
   * away for a while says nothing about the loop. Not known, and false, in the first second.
   */
  readonly calm: boolean
  /** The same. Asking keeps it measured for ten seconds; without a question nothing is measured. */
  isCalm(): boolean
  /** False while a run has the turn. */
  readonly free: boolean
  enter(): void
  leave(): void
}

/** Longest delay that leaves room for runs. */
const CALM_MS = 1
const WINDOW_MS = 1000
/** Time between samples: 50 wake-ups a second cost about 0.1 % of a core. */
const TICK_MS = 20
const REST_MS = 10_000

interface Deps {
  readonly clock: Clock
  /** Calls back at the end of this turn. @default setImmediate */
  readonly defer?: (callback: () => void) => void
}

export function createHostLoop({ clock, defer = setImmediate }: Deps): HostLoop {
  const delays = createWindow()
  let timer: Timer | undefined
  let asked = false
  let quietTicks = 0
  let calm = false
  let free = true

  function tick(): void {
    const dueAt = clock.now() + TICK_MS
    timer = clock.after(TICK_MS, () =>
      // The other callbacks of this turn count: a request that has just come in waits for them, too.
      defer(() => {
        const now = clock.now()
        delays.add(Math.max(0, now - dueAt), now)
        calm = delays.isFull && delays.median <= CALM_MS
        quietTicks = asked ? 0 : quietTicks + 1
        asked = false
        if (quietTicks * TICK_MS < REST_MS) tick()
        else rest()
      }),
    )
  }

  function rest(): void {
    timer = undefined
    quietTicks = 0
    calm = false
    delays.clear()
  }

  return {
    get calm() {
      return calm
    },
    isCalm() {
      asked = true
      if (!timer) tick()
      return calm
    },
    get free() {
      return free
    },
    enter() {
      free = false
    },
    leave() {
      free = true
    },
  }
}

/** Numbers of the last second. */
interface Window {
  add(value: number, now: number): void
  readonly median: number
  /** It reaches back a second. */
  readonly isFull: boolean
  clear(): void
}

function createWindow(): Window {
  const values: number[] = []
  const times: number[] = []
  let isFull = false

  return {
    add(value, now) {
      while (times.length > 0 && (times[0] as number) < now - WINDOW_MS) {
        times.shift()
        values.shift()
        isFull = true
      }
      values.push(value)
      times.push(now)
    },
    get median() {
      return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0
    },
    get isFull() {
      return isFull
    },
    clear() {
      values.length = 0
      times.length = 0
      isFull = false
    },
  }
}

let shared: HostLoop | undefined

/** The loop of this process. */
export function hostLoop(): HostLoop {
  shared ??= createHostLoop({ clock: systemClock })
  return shared
}

/** A worker thread with several sessions: each has a seat, with a port of its own. */

import { MessageChannel, type MessagePort, receiveMessageOnPort, type Worker } from 'node:worker_threads'
import type { Clock, Timer } from '../../host/clock.ts'
import { scriptPath, startThread } from '../../host/scripts.ts'
import type { Channel } from '../channel.ts'
import { guardThread } from '../exit-guard.ts'
import { type FromWorker, PENDING, SEATED } from '../messages.ts'
import { isPacket, type Packet } from '../wire/format.ts'
import { type Meter, MOST_SEATS, newMeters, readMeter, resetMeter } from './meters.ts'
import { type Traffic, WINDOW_MS, whoLeaves } from './traffic.ts'

export interface SeatEvents {
  onMessage(message: FromWorker | Packet): void
  /**
   * The thread is gone.
   * @param blame `own`: in the middle of a job of this seat; `others`: of another one; `unknown`: between jobs
   */
  onExit(reason: string, blame: Blame): void
  /** The model should have a thread of its own. */
  onCrowd(reason: string): void
  /** Another seat's job takes too long: this one should sit elsewhere. */
  onStall(): void
}

export type Blame = 'own' | 'others' | 'unknown'

export interface SharedThread {
  /** False once it is full, held up or gone. */
  readonly open: boolean
  readonly seats: number
  seat(events: SeatEvents): Channel
  /** Ends it if there is no seat. */
  endUnused(): void
}

interface Seat {
  readonly events: SeatEvents
  /** Nothing more comes. */
  end(): void
  readonly port: MessagePort
  /** At the beginning of the window. */
  before: Meter
}

export function startSharedThread(clock: Clock, onGone: () => void): SharedThread {
  const flags = new Int32Array(new SharedArrayBuffer(12))
  const meters = newMeters()
  const worker: Worker = startThread(scriptPath('worker'), { name: 'modelmount', workerData: { flags, meters } })
  const started = new Promise<void>((resolve) => worker.once('online', () => resolve()))
  const unguard = guardThread(flags)
  const seats = new Map<number, Seat>()
  let state: 'open' | 'held up' | 'gone' = 'open'
  let lastError = ''
  let window: Timer | undefined
  let openedAt = 0
  // Ports of busy seats keep the process alive.
  worker.unref()
  worker.on('error', (error) => {
    lastError = error instanceof Error ? error.message : String(error)
  })
  worker.on('exit', (code) => gone(lastError || `the worker thread exited with code ${code}`))

  function gone(reason: string): void {
    unguard()
    window?.cancel()
    if (state === 'gone') return
    state = 'gone'
    onGone()
    const culprit = current()
    const lost = [...seats]
    seats.clear()
    for (const [number, { port, events, end }] of lost) {
      // Answers that were sent before.
      for (let last = receiveMessageOnPort(port); last; last = receiveMessageOnPort(port)) events.onMessage(last.message)
      port.close()
      end()
      events.onExit(reason, culprit === undefined ? 'unknown' : culprit === number ? 'own' : 'others')
    }
  }

  /** The seat whose job is being done. */
  function current(): number | undefined {
    const number = Atomics.load(flags, SEATED) - 1
    return seats.has(number) ? number : undefined
  }

  // ---------------------------------------------------------------- watching

  function watch(): void {
    openedAt = clock.now()
    for (const [number, seat] of seats) seat.before = readMeter(meters, number)
    window = clock.after(WINDOW_MS, look)
  }

  function look(): void {
    window = undefined
    const traffic = [...seats].map(([seat, { before }]) => since(before, seat))
    const stalled = current()
    if (stalled !== undefined && traffic.every(({ jobs }) => jobs === 0)) {
      holdUp(stalled)
      return
    }
    const leaves = whoLeaves(traffic, clock.now() - openedAt)
    if (leaves) seats.get(leaves.seat)?.events.onCrowd(leaves.reason)
    if (Atomics.load(flags, PENDING) > 0) watch()
  }

  function since(before: Meter, seat: number): Traffic {
    const { busyMs, jobs, longRuns } = readMeter(meters, seat)
    return { seat, busyMs: busyMs - before.busyMs, jobs: jobs - before.jobs, longRuns: longRuns - before.longRuns }
  }

  /** Not one job was done in the whole window. */
  function holdUp(culprit: number): void {
    if (state !== 'open') return
    state = 'held up'
    for (const [number, { events }] of seats)
      if (number === culprit) events.onCrowd('one of its loads or runs held up the models that it shared a thread with')
      else events.onStall()
  }

  // ---------------------------------------------------------------- seats

  function seat(events: SeatEvents): Channel {
    const number = freeNumber(seats)
    let answersDue = 0
    let hasSession = false
    let released = (): void => {}
    const { port1: port, port2 } = new MessageChannel()
    resetMeter(meters, number)
    seats.set(number, { events, port, end: () => released(), before: readMeter(meters, number) })
    worker.postMessage({ kind: 'seat', number, port: port2 }, [port2])
    port.on('message', (message: FromWorker | Packet) => {
      if (--answersDue === 0) port.unref()
      if (!isPacket(message)) note(message)
      events.onMessage(message)
    })
    port.unref()

    function note({ kind }: FromWorker): void {
      if (kind === 'loaded') hasSession = true
      if (kind !== 'released') return
      hasSession = false
      released()
    }

    /** Of a load that came too late for its caller. */
    async function release(): Promise<void> {
      const done = new Promise<void>((resolve) => {
        released = resolve
      })
      channel.post({ kind: 'release' }, [])
      await done
    }
    const channel: Channel = {
      post(message, transfer) {
        if (answersDue++ === 0) port.ref()
        if (isPacket(message) || message.kind !== 'release') Atomics.add(flags, PENDING, 1)
        port.postMessage(message, transfer)
        if (!window) watch()
      },
      async close() {
        if (hasSession) await release()
        if (!seats.has(number)) return
        seats.delete(number)
        port.close()
        if (seats.size > 0 || state === 'gone') return
        state = 'gone'
        window?.cancel()
        onGone()
        await worker.terminate()
      },
    }
    return channel
  }

  return {
    get open() {
      return state === 'open' && seats.size < MOST_SEATS
    },
    get seats() {
      return seats.size
    },
    seat,
    endUnused() {
      if (seats.size > 0 || state !== 'open') return
      state = 'gone'
      onGone()
      // Ending a thread in the middle of its start may end the process.
      void started.then(() => worker.terminate())
    },
  }
}

function freeNumber(seats: ReadonlyMap<number, Seat>): number {
  for (let number = 0; ; number++) if (!seats.has(number)) return number
}

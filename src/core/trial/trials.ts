/**
 * The trials of a server: one child process, one model at a time. Made-up inputs can therefore harm neither the host nor a serving
 * instance. The child comes with the first trial and goes with the last.
 */

import type { OpenChannel } from '../engine/channel.ts'
import { pack, type TensorRecord, unpack } from '../engine/frame.ts'
import type { LoadRequest } from '../engine/instance.ts'
import type { FromWorker, Loaded, ToWorker } from '../engine/messages.ts'
import { loadError } from '../engine/ort-errors.ts'
import { isPacket, type Packet } from '../engine/wire/format.ts'
import { NO_SESSION } from '../engine/wire/names.ts'
import { packRuns } from '../engine/wire/runs.ts'
import { ModelmountError } from '../errors.ts'
import type { Clock } from '../host/clock.ts'
import { printable } from '../host/printable.ts'
import { isOfHost } from '../host/problems.ts'
import { type Child, type Limit, openChild } from './child.ts'
import { createLoads } from './loads.ts'
import type { Found, TrialPlan } from './plan.ts'

/** Longest trial of a model once it has loaded; a slower model is served untried. */
const TRIAL_MS = 20_000

export interface TrialRequest extends LoadRequest {
  /** In a child of its own, which ends with it: no effect on it can reach another model's trial. */
  readonly alone: boolean
  /** No load waits for it: it lets loads go first, for a while. */
  readonly later: boolean
  /** Private memory at which it ends. Read when its turn has come. */
  maxBytes(): number
  onLine(line: string): void
}

/** The trial of one model. All of it rejects with a ModelmountError once its child is gone. */
export interface Job {
  /** Resolves when its turn has come and the child has loaded the model. */
  readonly loaded: Promise<Loaded>
  /** Runs the model once. An error of the model is no reason to reject. */
  run(inputs: TensorRecord, fetches: readonly string[]): Promise<void>
  /** The same with inputs that are made up. */
  smoke(plan: TrialPlan): Promise<void>
  tryOut(plan: TrialPlan): Promise<Found>
  /** Passes the turn on, whatever is running. Resolves once the model is out of the child's memory. */
  end(): Promise<void>
}

export interface Trials {
  /** A model loads, and its trial may come: the child is kept until the returned function is called. */
  expect(): () => void
  begin(request: TrialRequest): Job
  /** Ends the child. Later trials are refused. */
  close(): Promise<void>
}

/** @param open makes the child */
export function createTrials(clock: Clock, open: OpenChannel): Trials {
  const ending = new Set<Promise<void>>()
  const loads = createLoads(clock)
  let child: Child | undefined
  let expected = 0
  let turn: Promise<void> = Promise.resolve()
  let onLine: ((line: string) => void) | undefined
  let closed = false

  async function childFor(alone: boolean): Promise<Child> {
    if (child && (alone || !child.alive)) await dismiss()
    child ??= openChild(open, clock, (line) => onLine?.(line))
    return child
  }

  function dismiss(): Promise<void> {
    if (child) {
      const gone: Promise<void> = child.end().finally(() => ending.delete(gone))
      ending.add(gone)
    }
    child = undefined
    return Promise.all(ending).then(() => {})
  }

  function keep(): () => void {
    expected++
    let done = false
    return () => {
      if (done) return
      done = true
      if (--expected === 0) void dismiss()
    }
  }

  function begin(request: TrialRequest): Job {
    const done = keep()
    const { timeoutMs, alone, later } = request
    let mine: Child | undefined
    let unbound = (): void => {}
    let hasTurn = false
    let ended = false
    let busy = false
    const before = turn
    const mineOver = settleable<void>()
    turn = mineOver.promise

    const inTime: Limit = { ms: timeoutMs, late: lateFor(timeoutMs) }
    async function ask<K extends FromWorker['kind']>(kind: K, died: string, limit: Limit, message: ToWorker) {
      const answer = await send(died, limit, message)
      if (!isPacket(answer) && answer.kind === kind) return answer as Extract<FromWorker, { kind: K }>
      if (!isPacket(answer) && answer.kind === 'load-failed') throw loadError(answer.message)
      throw new ModelmountError('INTERNAL', `a trial did not answer '${kind}'`)
    }

    /** @param died called with the child's last action when it goes away */
    async function send(died: string, limit: Limit, message: ToWorker | Packet, transfer?: ArrayBuffer[]) {
      if (!mine || ended) throw over()
      busy = true
      try {
        return await mine.ask(message, limit, transfer)
      } catch (error) {
        if (closed) throw new ModelmountError('SERVER_CLOSED', 'the server is closing')
        if (mine.alive || ended || whyNot(error) === limit.late || isOfHost(error)) throw error
        throw new ModelmountError('MODEL_LOAD_FAILED', `${died}: ${whyNot(error)}`, { cause: error })
      } finally {
        busy = false
      }
    }

    async function load(): Promise<Loaded> {
      await before
      hasTurn = !ended
      if (later && !ended) await loads.gone()
      if (ended || closed) throw over()
      onLine = request.onLine
      mine = await childFor(alone)
      if (ended || closed) throw over()
      unbound = mine.bound(request.maxBytes())
      const { source, patch, data, settings } = request
      const limit = { ms: timeoutMs, late: `loading took longer than loadTimeoutMs (${timeoutMs} ms)` }
      const died = 'its process ended while loading'
      return ask('loaded', died, limit, { kind: 'load', source, patch, data, settings })
    }

    async function leave(): Promise<void> {
      if (!hasTurn) {
        void before.then(() => mineOver.resolve())
        done()
        return
      }
      unbound()
      // Busy with a job that is no longer wanted.
      if (busy) mine?.kill('its trial is over')
      if (mine?.alive && !alone) await mine.ask({ kind: 'release' }, { ...inTime, hold: true }).catch(() => {})
      if (mine && (alone || !mine.alive) && mine === child) await dismiss()
      mineOver.resolve()
      done()
    }

    const given = settleable<never>()
    const loaded = Promise.race([load(), given.promise])
    loaded.catch(() => {})
    let left: Promise<void> | undefined

    return {
      loaded,
      async run(inputs, fetches) {
        const { packet, transfer } = packRuns([{ inputs, fetches }], { session: 0, id: 0, names: NO_SESSION })
        await send(CRASHED, inTime, packet, transfer)
      },
      async smoke(plan) {
        await ask('tried', CRASHED, inTime, tryMessage(plan, true))
      },
      async tryOut(plan) {
        const ms = Math.min(timeoutMs, TRIAL_MS)
        const { rows, found } = await ask(
          'tried',
          CRASHED,
          { ms, late: `trying it took longer than ${ms} ms` },
          tryMessage(plan, false),
        )
        return { ...found, rows: unpack(rows, { share: false }) }
      },
      end() {
        ended = true
        given.reject(over())
        left ??= leave()
        return left
      },
    }
  }

  return {
    expect: () => both(loads.begin(), keep()),
    begin,
    async close() {
      closed = true
      child?.kill('the server is closing')
      await dismiss()
    },
  }
}

const both = (a: () => void, b: () => void) => (): void => {
  a()
  b()
}

interface Settleable<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: ModelmountError): void
}

function settleable<T>(): Settleable<T> {
  const settle: { resolve(value: T): void; reject(error: ModelmountError): void } = { resolve() {}, reject() {} }
  const promise = new Promise<T>((resolve, reject) => Object.assign(settle, { resolve, reject }))
  return Object.assign(settle, { promise })
}

function tryMessage({ given, ...plan }: TrialPlan, rowsOnly: boolean): ToWorker {
  return { kind: 'try', plan, given: pack(given).frame, rowsOnly }
}

const CRASHED = 'it crashed in its trial run'
const lateFor = (ms: number): string => `its trial run took longer than loadTimeoutMs (${ms} ms)`
const over = (): ModelmountError => new ModelmountError('MODEL_LOAD_FAILED', 'its trial is over')

/** For events and reasons. */
export const whyNot = (error: unknown): string => printable(error instanceof Error ? error.message : String(error)).slice(0, 500)

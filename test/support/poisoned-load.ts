/** The real scheduler over simulated workers that cannot take some values: runs with them fail, or cost the worker. */

import { createBalancer } from '../../src/core/engine/balance.ts'
import type { Instance } from '../../src/core/engine/instance.ts'
import type { Pool } from '../../src/core/engine/pool.ts'
import type { RunOutcome } from '../../src/core/engine/run.ts'
import { NO_SESSION } from '../../src/core/engine/wire/names.ts'
import { ModelmountError } from '../../src/core/errors.ts'
import type { AbortSignalLike } from '../../src/core/host/abort.ts'
import { type Batching, unbatched } from '../../src/core/scheduler/batching.ts'
import { createScheduler, type Scheduler } from '../../src/core/scheduler/scheduler.ts'
import type { Priority } from '../../src/core/scheduler/types.ts'
import type { Tensor } from '../../src/core/tensor/types.ts'
import { createRandom, createSimulatedClock, type SimulatedClock } from './simulated-clock.ts'
import { sendBy } from './worker-messages.ts'

/** The effect of a row on its run. */
export type Kind = 'good' | 'bad' | 'deadly'
/** The values that have it, second in a row. */
export const CODES: Readonly<Record<Kind, number>> = { good: 0, bad: 1, deadly: 2 }

export interface Asked {
  readonly kind?: Kind
  readonly tenant?: string
  readonly connection?: symbol
  readonly priority?: Priority
  readonly signal?: AbortSignalLike
  /** @default 1e9 */
  readonly timeoutMs?: number
}

export interface PoisonedLoad {
  readonly clock: SimulatedClock
  readonly scheduler: Scheduler
  /** Of every run that was begun, the numbers of its requests. */
  readonly runs: number[][]
  /** Of every message, how many runs it had. */
  readonly messages: number[]
  /** Workers that were lost. */
  readonly lost: number
  /** Codes of the requests that were answered, by number. */
  readonly answers: Map<number, string>
  /** @returns its number */
  send(asked?: Asked): number
  /** Sends a request and another one as soon as it is answered, until that time. */
  loop(asked: Asked, until: number, answered?: (code: string) => void): void
}

export interface PoisonedOptions {
  readonly killable?: boolean
  readonly instances?: number
  readonly cap?: number
  readonly mixTenants?: boolean
  readonly maxQueue?: number
  readonly maxQueueBytes?: number
  readonly maxQueuePerTenant?: number
  readonly maxDelayMs?: number
  readonly maxWaitMs?: number
  readonly law?: (rows: number) => number
}

const rowsIn = (x: Tensor | undefined): Float32Array => x?.data as Float32Array

function batchingOf(cap: number): Batching {
  return {
    ...unbatched(''),
    cap,
    capOf: () => cap,
    nextCap: () => cap,
    roomFor: () => Number.POSITIVE_INFINITY,
    info: { state: 'proved', enabled: true, reason: '', maxSize: cap },
    place: (run, shareable) => ({ bucket: shareable ? '*' : '', rows: rowsIn(run.inputs.x).length / 2 }),
    shared: (lane) => lane === '*',
    join(requests) {
      const data = Float32Array.from(requests.flatMap(({ x }) => Array.from(rowsIn(x))))
      return { x: { type: 'float32', dims: [data.length / 2, 2], data } }
    },
    split(outputs, rows) {
      let from = 0
      return rows.map((count) => {
        const data = rowsIn(outputs.x).slice(2 * from, 2 * (from + count))
        from += count
        return { x: { type: 'float32', dims: [count, 2], data } }
      })
    },
  }
}

export function createPoisonedLoad(opts: PoisonedOptions = {}): PoisonedLoad {
  const { killable = false, instances: count = 1, cap = 16, law = (rows) => 2 + 0.1 * rows } = opts
  const clock = createSimulatedClock()
  const instances: Instance[] = []
  const runs: number[][] = []
  const messages: number[] = []
  const answers = new Map<number, string>()
  let lost = 0
  let sent = 0

  function addInstance(): void {
    let ready = true
    let freeAt = 0
    let bursts = 0
    const waiting: { readonly done: Parameters<Instance['run']>[1] }[] = []
    const die = (): void => {
      ready = false
      lost++
      instances.splice(instances.indexOf(instance), 1)
      for (const [i, { done }] of waiting.splice(0).entries()) done(i === 0 ? 'lost' : 'unstarted')
      clock.after(5, () => {
        addInstance()
        scheduler.wake()
      })
    }
    const instance: Instance = {
      id: 1,
      loaded: new Promise(() => {}),
      get bursts() {
        return bursts
      },
      get outstanding() {
        return bursts
      },
      get ready() {
        return ready
      },
      run(given, done) {
        messages.push(given.length)
        let ms = 0
        let dies = false
        const outcomes = given.map(({ inputs }): RunOutcome => {
          const data = rowsIn(inputs.x)
          const rows = Array.from({ length: data.length / 2 }, (_, i) => [data[2 * i]!, data[2 * i + 1]!] as const)
          runs.push(rows.map(([number]) => number))
          const inferMs = law(rows.length)
          ms += inferMs
          dies ||= rows.some(([, code]) => code === CODES.deadly)
          return rows.some(([, code]) => code === CODES.bad)
            ? { error: new ModelmountError('INPUT_REJECTED', 'a value'), inferMs }
            : { outputs: { x: inputs.x! }, inferMs }
        })
        const message = { done }
        waiting.push(message)
        bursts++
        freeAt = Math.max(freeAt, clock.now()) + ms
        clock.after(freeAt - clock.now(), () => {
          if (!ready) return
          if (dies) return die()
          bursts--
          waiting.splice(waiting.indexOf(message), 1)
          done(outcomes)
        })
      },
      names: NO_SESSION,
      send(message, rows, done) {
        sendBy(instance.run)(message, rows, done)
      },
      kill() {
        if (ready && killable) die()
        return killable
      },
      tier: 'worker',
      memoryBytes: undefined,
      close: async () => {},
    }
    instances.push(instance)
  }

  const pool = {
    instances,
    target: count,
    killable,
    unavailableForMs: undefined,
    succeeded() {},
    queueChanged() {},
    balancer: createBalancer<Instance>('fastest', { clock, random: createRandom(1), recheck: () => scheduler.wake() }),
  } as unknown as Pool
  const scheduler: Scheduler = createScheduler({
    pool,
    clock,
    maxQueue: opts.maxQueue ?? 100_000,
    maxQueueBytes: opts.maxQueueBytes ?? Number.MAX_SAFE_INTEGER,
    maxQueuePerTenant: opts.maxQueuePerTenant ?? Number.MAX_SAFE_INTEGER,
    maxDelayMs: opts.maxDelayMs ?? 0,
    ...(opts.maxWaitMs === undefined ? {} : { maxWaitMs: opts.maxWaitMs }),
    mixTenants: opts.mixTenants ?? false,
    defer: (callback) => void clock.after(0, callback),
  })
  scheduler.setBatching(batchingOf(cap))
  for (let i = 0; i < count; i++) addInstance()

  function send(asked: Asked = {}, answered: (code: string) => void = () => {}): number {
    const number = sent++
    const { kind = 'good', tenant = '', connection, priority = 'normal', signal, timeoutMs = 1e9 } = asked
    const now = clock.now()
    const told = (code: string): void => {
      if (answers.has(number)) throw new Error(`${number} was answered twice`)
      answers.set(number, code)
      answered(code)
    }
    scheduler
      .submit({
        run: {
          inputs: { x: { type: 'float32', dims: [1, 2], data: Float32Array.of(number, CODES[kind]) } },
          fetches: ['x'],
        },
        enqueuedAt: now,
        deadline: now + timeoutMs,
        signal,
        priority,
        tenant,
        connection,
        shareable: true,
      })
      .then(
        ({ outputs }) => told(rowsIn(outputs.x)[0] === number ? 'ok' : 'another answer'),
        (error: ModelmountError) => told(error.code),
      )
    return number
  }

  return {
    clock,
    scheduler,
    runs,
    messages,
    get lost() {
      return lost
    },
    answers,
    send: (asked) => send(asked),
    loop(asked, until, answered) {
      const again = (code?: string): void => {
        if (code !== undefined) answered?.(code)
        if (clock.now() < until) send(asked, again)
      }
      again()
    },
  }
}

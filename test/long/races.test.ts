/**
 * Loads, unloads, predictions, crashes and the end of the server, in any order and on top of each other. Every promise settles with an
 * answer or a reason, nothing is left, and no rejection goes unheard. The schedule is drawn from a seed that a failure names.
 */

import { createModelServer, type ModelServer } from 'modelmount'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { addModel, mlpModel } from '../../tools/models.mjs'
import { workerPids } from '../support/children.ts'
import { LINUX } from '../support/needs.ts'
import { createRandom, type Random } from '../support/simulated-clock.ts'
import { plus, sharedCost } from '../support/small-models.ts'

const SEED = Number(process.env.RACES_SEED ?? 20_261_130)
const ROUNDS = 14
const STEPS = 60
const NAMES = ['a', 'b', 'c']

/** Errors that a caller may see. Anything else is a fault of ours. */
const HONEST = new Set([
  'ABORTED',
  'DEADLINE_EXCEEDED',
  'MODEL_LOAD_FAILED',
  'MODEL_NOT_FOUND',
  'MODEL_NOT_READY',
  'MODEL_UNAVAILABLE',
  'OVERLOADED',
  'QUEUE_FULL',
  'SERVER_CLOSED',
  'WORKER_LOST',
])

const unheard: unknown[] = []
const hear = (error: unknown): void => void unheard.push(error)
beforeAll(() => void process.on('unhandledRejection', hear))
afterAll(() => void process.off('unhandledRejection', hear))

const pick = <T>(random: Random, from: readonly T[]): T => from[Math.floor(random() * from.length)] as T

const SOURCES = [sharedCost(), mlpModel(), plus(1)]

interface Outcomes {
  /** Adds one that must settle. */
  watch(what: string, promise: Promise<unknown>): void
  /** Those that have not settled. */
  open(): string[]
  readonly odd: string[]
}

function createOutcomes(): Outcomes {
  const open = new Map<number, string>()
  const odd: string[] = []
  let next = 0
  return {
    odd,
    open: () => [...open.values()],
    watch(what, promise) {
      const id = next++
      open.set(id, what)
      promise
        .catch((error: { readonly code?: string; readonly message?: string }) => {
          if (!HONEST.has(error.code ?? '')) odd.push(`${what}: ${error.code} ${error.message}`)
        })
        .finally(() => open.delete(id))
    },
  }
}

/** A step of the schedule; its work is watched, not waited for. */
function step(server: ModelServer, isolation: string, random: Random, outcomes: Outcomes): void {
  const name = pick(random, NAMES)
  const chance = random()
  if (chance < 0.2) {
    const source = pick(random, SOURCES)
    const how = pick(random, [
      {},
      { batching: false as const },
      { trialRun: true },
      { instances: { min: 1, max: 2 } },
      { idleUnloadMs: 30 },
    ])
    outcomes.watch(`load ${name}`, server.load({ name, source, ...how }, { replace: random() < 0.7 }))
  } else if (chance < 0.3) {
    outcomes.watch(`unload ${name}`, (async () => server.unload(name))())
  } else if (chance < 0.33 && isolation === 'process') {
    const pids = workerPids()
    if (pids.length > 0) {
      try {
        process.kill(pick(random, pids), 'SIGKILL')
      } catch {
        // Gone by itself.
      }
    }
  } else ask(server, name, random, outcomes)
}

function ask(server: ModelServer, name: string, random: Random, outcomes: Outcomes): void {
  for (let i = 0; i < 1 + random() * 6; i++) {
    const given = random() < 0.2 ? new AbortController() : undefined
    const timeoutMs = pick(random, [1, 50, 3_600_000])
    const call = async (): Promise<unknown> => {
      const inputs = server.model(name).inputs.map((input) => {
        const dims = (input.dims ?? []).map((dim) => (typeof dim === 'number' ? dim : 1))
        const data = new Float32Array(dims.reduce((n, dim) => n * dim, 1))
        return [input.name, { type: 'float32' as const, dims, data }] as const
      })
      return server.predict(name, Object.fromEntries(inputs), { timeoutMs, ...(given && { signal: given.signal }) })
    }
    outcomes.watch(`predict ${name}`, call())
    if (given) setImmediate(() => given.abort())
  }
}

test.each(['thread', 'process'] as const)('%s tier', LINUX, async (isolation) => {
  const random = createRandom(SEED + (isolation === 'thread' ? 0 : 1))
  console.log(`races: RACES_SEED=${SEED}`)
  for (let round = 0; round < ROUNDS; round++) {
    const outcomes = createOutcomes()
    const models = NAMES.slice(0, Math.floor(random() * 3)).map((name) => ({ name, source: addModel() }))
    const creating = createModelServer({
      models,
      isolation,
      logger: false,
      ...(random() < 0.5 && { memory: { budgetBytes: 400 * 2 ** 20 } }),
    })
    const server = await creating
    for (let i = 0; i < STEPS; i++) {
      step(server, isolation, random, outcomes)
      // Some on top of each other, some in other turns, some after an answer may have come.
      const wait = random()
      if (wait < 0.3) await new Promise((resolve) => setImmediate(resolve))
      else if (wait < 0.5) await new Promise((resolve) => setTimeout(resolve, random() * 40))
    }
    outcomes.watch('close', server.close({ timeoutMs: pick(random, [0, 5, 120_000]) }))
    if (random() < 0.5) ask(server, 'a', random, outcomes)
    // Everything that was begun comes to an end.
    await expect.poll(outcomes.open, { timeout: 150_000 }).toEqual([])
    expect(outcomes.odd).toEqual([])
    await expect.poll(workerPids, { timeout: 60_000 }).toEqual([])
  }
  await new Promise((resolve) => setImmediate(resolve))
  expect(unheard).toEqual([])
})

/** One copy of a model in a worker that does as told: the outcome of its load, of its runs, and of those when it goes. */

import { describe, expect, test } from 'vitest'
import type { Channel, ChannelEvents } from '../../../src/core/engine/channel.ts'
import { createInstance, type LoadRequest } from '../../../src/core/engine/instance.ts'
import type { FromWorker, Loaded, ToWorker } from '../../../src/core/engine/messages.ts'
import { HRTIME_AHEAD_MS } from '../../../src/core/engine/monotonic.ts'
import type { Run, RunOutcome } from '../../../src/core/engine/run.ts'
import { FORMAT, type Packet } from '../../../src/core/engine/wire/format.ts'
import { sessionNames } from '../../../src/core/engine/wire/names.ts'
import type { Tensor } from '../../../src/core/types.ts'
import { createSimulatedClock } from '../../support/simulated-clock.ts'
import { LOADED as ANY_SESSION, answered, kindOf, runsIn } from '../../support/worker-messages.ts'

const REQUEST: LoadRequest = {
  source: 'model.onnx',
  patch: [],
  data: [{ path: 'weights', bytes: Uint8Array.of(1) }],
  settings: {
    providers: [{ name: 'cpu' }],
    strictProviders: true,
    session: { intraOpNumThreads: 2 } as LoadRequest['settings']['session'],
    prefetch: true,
    niceness: 5,
  },
  timeoutMs: 1000,
}
const LOADED: Loaded = { ...ANY_SESSION, inputs: [{ name: 'x', isTensor: true, type: 'float32', dims: [1] }] }
const number = (value: number): Tensor => ({ type: 'float32', dims: [1], data: Float32Array.of(value) })
const run = (value: number, fetches: readonly string[]): Run => ({ inputs: { x: number(value) }, fetches })

function setUp({ killable = true } = {}) {
  const clock = createSimulatedClock()
  const sent: (ToWorker | Packet)[] = []
  const log: string[] = []
  let worker: ChannelEvents | undefined
  const instance = createInstance(REQUEST, {
    id: 7,
    clock,
    open(events): Channel {
      worker = events
      return {
        post: (message) => void sent.push(message),
        ...(killable ? { kill: (reason: string) => void log.push(`kill: ${reason}`), memoryBytes: () => 123 } : {}),
        async close() {
          log.push('close')
        },
      }
    },
    onLost: (reason) => void log.push(`lost: ${reason}`),
    onLine: (line) => void log.push(`line: ${line}`),
  })
  const say = (message: FromWorker | Packet): void => worker?.onMessage(message)
  /** Answers a burst, by the outputs of its runs or what went wrong. */
  const answer = (id: number, outputs: readonly (number | string)[]): void =>
    say(
      answered({
        id,
        answers: outputs.map((each) => (typeof each === 'number' ? { y: number(each) } : each)),
        beganMs: HRTIME_AHEAD_MS + 50,
        inferMs: outputs.map((_, i) => i + 1),
      }).packet,
    )
  const exit = (reason: string): void => worker?.onExit(reason)
  /** Notes what becomes of a burst. */
  const heard: (readonly [string, readonly RunOutcome[] | string, number | undefined])[] = []
  const ask = (name: string, ...runs: readonly Run[]): void =>
    instance.run(runs, (outcomes, beganAt) => void heard.push([name, outcomes, beganAt]))
  return { instance, clock, sent, log, say, answer, exit, heard, ask, line: (text: string) => worker?.onLine(text) }
}

async function ready() {
  const it = setUp()
  it.say(LOADED)
  await it.instance.loaded
  return it
}

describe('loading', () => {
  test('says all that the worker needs, and is ready when that has answered', async () => {
    const { instance, sent, say, clock, log, line } = setUp()
    const { timeoutMs: _, ...message } = REQUEST
    expect(sent).toEqual([{ kind: 'load', ...message }])
    expect([instance.ready, instance.id, instance.memoryBytes]).toEqual([false, 7, 123])
    line('hello')
    await clock.letPass(999)
    say(LOADED)
    expect(await instance.loaded).toBe(LOADED)
    expect(instance.ready).toBe(true)
    // It came in time, and stays.
    await clock.letPass(10_000)
    expect([instance.ready, log]).toEqual([true, ['line: hello']])
  })

  test('that fails is told as what it is, and ends the worker', async () => {
    const { instance, say, log, exit } = setUp()
    say({ kind: 'load-failed', message: 'protobuf parsing failed', fallbacks: [] })
    await expect(instance.loaded).rejects.toMatchObject({ code: 'MODEL_INVALID' })
    exit('it was closed')
    expect([instance.ready, log]).toEqual([false, ['close']])
  })

  test('by a worker of another version fails, and says how to mend that', async () => {
    const { instance, say, log } = setUp()
    say({ ...LOADED, format: FORMAT + 1 })
    await expect(instance.loaded).rejects.toMatchObject({
      code: 'MODEL_LOAD_FAILED',
      message: expect.stringContaining('another version of modelmount'),
    })
    expect([instance.ready, log]).toEqual([false, ['close']])
  })

  test('that takes too long is given up; what comes later ends the worker', async () => {
    for (const late of [LOADED, { kind: 'load-failed', message: 'no', fallbacks: [] }] as const) {
      const { instance, clock, log, say } = setUp()
      const failed = expect(instance.loaded).rejects.toMatchObject({
        code: 'MODEL_LOAD_FAILED',
        message: expect.stringContaining('loadTimeoutMs (1000 ms)'),
      })
      await clock.letPass(1000)
      await failed
      expect(log).toEqual(['kill: loading took too long'])
      say(late)
      expect([instance.ready, log.at(-1)]).toEqual([false, 'close'])
    }
  })

  test('whose worker goes says with what, and blames the host where that is to blame', async () => {
    const crashed = setUp()
    crashed.exit('killed by SIGSEGV')
    await expect(crashed.instance.loaded).rejects.toMatchObject({
      code: 'MODEL_LOAD_FAILED',
      message: 'the worker ended while loading: killed by SIGSEGV',
    })
    expect(crashed.log).toEqual([])
    await crashed.clock.letPass(10_000)
    expect(crashed.log).toEqual([])
    const refused = setUp()
    refused.exit("Error: Cannot find module 'onnxruntime-node'")
    await expect(refused.instance.loaded).rejects.toMatchObject({ code: 'HOST_UNSUPPORTED' })
  })
})

describe('runs', () => {
  test('of one burst are answered one by one, each as what became of it', async () => {
    const { instance, sent, ask, answer, heard } = await ready()
    const y = ['y']
    ask('first', run(1, y), run(2, ['z']), run(3, y))
    ask('second', run(4, y))
    expect([instance.bursts, instance.outstanding]).toEqual([2, 4])
    const names = sessionNames(LOADED)
    expect(sent.slice(1).map((message) => runsIn(message as Packet, names))).toMatchObject([
      { id: 1, runs: [run(1, y), run(2, ['z']), run(3, y)] },
      { id: 2, runs: [run(4, y)] },
    ])
    answer(1, [10, 'out of memory', 30])
    expect([instance.bursts, instance.outstanding]).toEqual([1, 1])
    const [[name, outcomes, beganAt] = ['', [], 0]] = heard
    expect(name).toBe('first')
    expect(beganAt).toBeCloseTo(50)
    expect(outcomes).toMatchObject([
      { outputs: { y: { data: Float32Array.of(10) } }, inferMs: 1 },
      { error: { code: 'INFERENCE_FAILED' }, inferMs: 2 },
      { outputs: { y: { data: Float32Array.of(30) } }, inferMs: 3 },
    ])
    // Twice the same answer is none.
    answer(1, [10, 20, 30])
    expect(heard).toHaveLength(1)
    expect(instance.outstanding).toBe(1)
  })

  test('of a worker that goes: the first were lost while they ran, the others had not begun', async () => {
    const { instance, exit, ask, heard, log, answer } = await ready()
    for (const name of ['a', 'b', 'c']) ask(name, run(1, ['y']))
    answer(1, [1])
    exit('killed by SIGSEGV')
    expect(heard.slice(1)).toEqual([
      ['b', 'lost', undefined],
      ['c', 'unstarted', undefined],
    ])
    expect(log).toEqual(['lost: killed by SIGSEGV'])
    expect([instance.ready, instance.bursts, instance.outstanding]).toEqual([false, 0, 0])
    answer(2, [2])
    expect(heard).toHaveLength(3)
  })

  test('whoever hears that a run was lost finds the instance out of service', async () => {
    const { instance, exit } = await ready()
    let found: boolean | undefined
    instance.run([run(1, ['y'])], () => {
      found = instance.ready
    })
    exit('killed')
    expect(found).toBe(false)
  })
})

describe('the end', () => {
  test('waits for what runs, and for the model to be released', async () => {
    const { instance, ask, answer, sent, say, log } = await ready()
    ask('a', run(1, ['y']))
    ask('b', run(1, ['y']))
    let ended = false
    const ending = instance.close().then(() => {
      ended = true
    })
    expect(instance.ready).toBe(false)
    answer(1, [1])
    await Promise.resolve()
    expect(sent.map(kindOf).at(-1)).toBe('run')
    answer(2, [1])
    await new Promise((resolve) => setImmediate(resolve))
    expect([sent.map(kindOf).at(-1), ended, log]).toEqual(['release', false, []])
    say({ kind: 'released' })
    await ending
    expect(log).toEqual(['close'])
    await instance.close()
    expect(log).toEqual(['close'])
  })

  test('comes with a worker that goes meanwhile, which is no loss any more', async () => {
    const { instance, ask, exit, log, sent, heard } = await ready()
    ask('a', run(1, ['y']))
    const ending = instance.close()
    exit('killed')
    await ending
    expect([log, sent.map(kindOf).at(-1), heard]).toEqual([[], 'run', [['a', 'lost', undefined]]])
    const other = await ready()
    const released = other.instance.close()
    other.exit('killed')
    await released
    expect(other.log).toEqual(['close'])
  })

  test('of one that loads comes once it has loaded, or has failed to', async () => {
    const loading = setUp()
    const ending = loading.instance.close()
    loading.say(LOADED)
    await new Promise((resolve) => setImmediate(resolve))
    loading.say({ kind: 'released' })
    await ending
    expect(loading.log).toEqual(['close'])
    const failing = setUp()
    const failed = failing.instance.close()
    failing.say({ kind: 'load-failed', message: 'no', fallbacks: [] })
    await failed
    expect(failing.sent.map(kindOf)).toEqual(['load'])
  })

  test('by force is only where the tier has one', () => {
    const killable = setUp()
    expect(killable.instance.kill('it hangs')).toBe(true)
    expect(killable.log).toEqual(['kill: it hangs'])
    const other = setUp({ killable: false })
    expect([other.instance.kill('it hangs'), other.instance.memoryBytes]).toEqual([false, undefined])
  })
})

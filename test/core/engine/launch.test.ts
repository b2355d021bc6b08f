/** Instances on their way: from which file they start, and what becomes of those that do not arrive. */

import { describe, expect, test } from 'vitest'
import type { Channel, ChannelEvents } from '../../../src/core/engine/channel.ts'
import type { LoadRequest } from '../../../src/core/engine/instance.ts'
import { createLauncher, type LaunchDeps, type SharedForm } from '../../../src/core/engine/launch.ts'
import type { FromWorker } from '../../../src/core/engine/messages.ts'
import { isPacket } from '../../../src/core/engine/wire/format.ts'
import { createSimulatedClock } from '../../support/simulated-clock.ts'
import { LOADED } from '../../support/worker-messages.ts'

const REQUEST: LoadRequest = {
  source: 'model.onnx',
  patch: [],
  data: [],
  settings: {
    providers: [{ name: 'cpu' }],
    strictProviders: false,
    session: {} as LoadRequest['settings']['session'],
    prefetch: true,
    niceness: 0,
  },
  timeoutMs: 1000,
}
const FORM: SharedForm = { source: 'derived.onnx', isIntact: async () => true }

/** Workers that answer as told. */
function setUp(deps: Partial<LaunchDeps> = {}, load: (source: unknown) => FromWorker | undefined = () => LOADED) {
  const log: string[] = []
  const workers: ChannelEvents[] = []
  const launcher = createLauncher(REQUEST, {
    clock: createSimulatedClock(),
    open(events): Channel {
      workers.push(events)
      return {
        post(message) {
          if (isPacket(message)) return
          if (message.kind === 'load') log.push(`load ${message.source}`)
          const answer = message.kind === 'load' ? load(message.source) : ({ kind: 'released' } as const)
          if (answer) queueMicrotask(() => events.onMessage(answer))
        },
        kill: (reason) => {
          log.push(`kill: ${reason}`)
          events.onExit(reason)
        },
        async close() {
          log.push('close')
        },
      }
    },
    checkSource: async () => async () => {},
    async prepare() {},
    onSharedLost: (reason) => log.push(`shared lost: ${reason}`),
    onLost: (_, reason) => log.push(`lost: ${reason}`),
    onLine() {},
    ...deps,
  })
  return { launcher, log, workers }
}

const failed = (message: string): FromWorker => ({ kind: 'load-failed', message, fallbacks: [] })

describe('what is loaded', () => {
  test('the model itself; the shared form once there is one', async () => {
    const { launcher, log } = setUp()
    expect(await launcher.launch()).toMatchObject({ form: undefined, lost: undefined, instance: { id: 1, ready: true } })
    launcher.use(FORM)
    expect(await launcher.launch()).toMatchObject({ form: FORM, instance: { id: 2 } })
    expect(log).toEqual(['load model.onnx', 'load derived.onnx'])
    expect(launcher.busy).toBe(false)
  })

  test.each<[string, SharedForm, (source: unknown) => FromWorker, RegExp]>([
    ['has changed', { ...FORM, isIntact: async () => false }, () => LOADED, /changed or gone/],
    ['cannot be loaded', FORM, (source) => (source === FORM.source ? failed('no') : LOADED), /could not load the model: no/],
  ])('the model itself, for good, when the form %s', async (_, form, load, why) => {
    const { launcher, log } = setUp({}, load)
    launcher.use(form)
    // Two at once report it once.
    const both = await Promise.all([launcher.launch(), launcher.launch()])
    for (const launched of both) expect(launched.form).toBeUndefined()
    expect(log.filter((line) => line.startsWith('shared lost'))).toEqual([expect.stringMatching(why)])
    expect(launcher.form).toBeUndefined()
  })

  test('a model that cannot be loaded either way is told as such', async () => {
    const { launcher } = setUp({}, () => failed('no'))
    launcher.use(FORM)
    await expect(launcher.launch()).rejects.toMatchObject({ code: 'MODEL_LOAD_FAILED' })
  })
})

describe('other files than those that were loaded first', () => {
  const no = new Error('its file is not there')

  test('start no worker; that is a refusal, and says nothing of the shared form', async () => {
    const { launcher, log } = setUp({ checkSource: () => Promise.reject(no) })
    launcher.use(FORM)
    const failure = await launcher.launch().catch((error: unknown) => error)
    expect(failure).toBe(no)
    expect(launcher.isRefusal(failure)).toBe(true)
    expect(launcher.form).toBe(FORM)
    expect(log).toEqual([])
  })

  test('that took their place while a worker loaded: it serves nobody', async () => {
    const prepared: unknown[] = []
    const { launcher, log } = setUp({
      checkSource: async () => () => Promise.reject(no),
      prepare: async (instance) => void prepared.push(instance),
    })
    const failure = await launcher.launch().catch((error: unknown) => error)
    expect(launcher.isRefusal(failure)).toBe(true)
    expect(prepared).toEqual([])
    expect(log).toEqual(['load model.onnx', 'kill: it failed to warm up'])
    expect(launcher.busy).toBe(false)
  })

  test('a model that cannot be loaded is no refusal', async () => {
    const { launcher } = setUp({}, () => failed('no'))
    expect(launcher.isRefusal(await launcher.launch().catch((error: unknown) => error))).toBe(false)
  })
})

describe('warming up', () => {
  test('nobody gets an instance before', async () => {
    let warm = (): void => {}
    const { launcher } = setUp({ prepare: () => new Promise((resolve) => (warm = resolve)) })
    let arrived = false
    const launched = launcher.launch().then(() => (arrived = true))
    await expect.poll(() => warm).not.toBe(undefined)
    await new Promise((resolve) => setImmediate(resolve))
    expect([arrived, launcher.busy]).toEqual([false, true])
    warm()
    await launched
  })

  test('an instance that must not serve is ended, and nobody calls that a loss', async () => {
    const { launcher, log } = setUp({ prepare: () => Promise.reject(new Error('not this one')) })
    await expect(launcher.launch()).rejects.toThrow('not this one')
    expect(log).toEqual(['load model.onnx', 'kill: it failed to warm up'])
    expect(launcher.busy).toBe(false)
  })

  test('a worker that goes meanwhile is told with the launch, one that goes later by itself', async () => {
    const going = setUp({ prepare: async () => going.workers[0]?.onExit('signal 11') })
    expect(await going.launcher.launch()).toMatchObject({ lost: 'signal 11', instance: { ready: false } })
    expect(going.log).toEqual(['load model.onnx'])
    const { launcher, log, workers } = setUp()
    await launcher.launch()
    workers[0]?.onExit('signal 9')
    expect(log).toEqual(['load model.onnx', 'lost: signal 9'])
  })
})

describe('the end', () => {
  test('no instance arrives after it that was still loading', async () => {
    const { launcher, log, workers } = setUp({}, () => undefined)
    const launched = launcher.launch()
    await expect.poll(() => log).toEqual(['load model.onnx'])
    const ended = launcher.end()
    workers[0]?.onMessage(LOADED)
    await expect(launched).rejects.toMatchObject({ code: 'SERVER_CLOSED' })
    await ended
    expect(log).toEqual(['load model.onnx', 'close'])
  })

  test('nor one that was warming up, whatever came of that; and there is a life after it', async () => {
    const outcomes: (() => void)[] = []
    const { launcher, log } = setUp({
      prepare: () => new Promise((resolve, reject) => outcomes.push(outcomes.length ? resolve : () => reject(new Error('no')))),
    })
    const both = [launcher.launch(), launcher.launch()]
    await new Promise((resolve) => setImmediate(resolve))
    await launcher.end()
    for (const come of outcomes) come()
    for (const launched of both) await expect(launched).rejects.toMatchObject({ code: 'SERVER_CLOSED' })
    expect(log.filter((line) => !line.startsWith('load'))).toEqual(['close', 'close'])
    const next = launcher.launch()
    await expect.poll(() => outcomes.length).toBe(3)
    outcomes[2]?.()
    expect(await next).toMatchObject({ instance: { ready: true } })
  })

  test('nor one whose files were still looked at', async () => {
    let look = (): void => {}
    const { launcher, log } = setUp({ checkSource: () => new Promise((resolve) => (look = () => resolve(async () => {}))) })
    const launched = launcher.launch()
    await launcher.end()
    look()
    await expect(launched).rejects.toMatchObject({ code: 'SERVER_CLOSED' })
    expect(log).toEqual([])
  })

  test('nor one whose form was still looked at', async () => {
    let look = (_: boolean): void => {}
    const { launcher, log } = setUp()
    launcher.use({ ...FORM, isIntact: () => new Promise((resolve) => (look = resolve)) })
    const launched = launcher.launch()
    await launcher.end()
    look(true)
    await expect(launched).rejects.toMatchObject({ code: 'SERVER_CLOSED' })
    expect(log).toEqual([])
  })
})

/**
 * A model is tried in a process of its own first: a crash or hang there never reaches the serving process. Real children, killed for real.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ModelServer, signModel } from 'modelmount'
import { describe, expect, onTestFinished, test } from 'vitest'
import { nextWorker, workerPids } from '../support/children.ts'
import { LINUX } from '../support/needs.ts'
import { ecPair } from '../support/openssl.ts'
import { provedServerFor } from '../support/server.ts'
import { slowLoadModel } from '../support/slow-load.ts'
import { constantOf, slowEcho } from '../support/small-models.ts'

const answerOf = async (server: ModelServer, name = 'm'): Promise<unknown> => (await server.predict(name, {})).outputs.y?.data[0]

/** Long enough to be killed in the middle, on any machine. */
const SLOW_LOAD = 400
const trips = (count: bigint) => ({ trips: { type: 'int64', dims: [], data: BigInt64Array.of(count) }, x: [1] }) as const
const HOURS = trips(2n ** 40n)

describe('a trial run', LINUX, () => {
  test.each(['SIGSEGV', 'SIGABRT', 'SIGKILL'] as const)(
    'that dies by %s while it loads takes nothing with it',
    async (signal) => {
      const server = await provedServerFor({ models: [{ name: 'm', source: constantOf(1), isolation: 'process' }] })
      const serving = workerPids()
      expect(serving).toHaveLength(1)
      const load = server.load({ name: 'm', source: slowLoadModel(SLOW_LOAD), isolation: 'process' })
      const failed = expect(load).rejects.toMatchObject({ code: 'MODEL_LOAD_FAILED', message: expect.stringContaining(signal) })
      process.kill(await nextWorker(serving), signal)
      await failed
      // No other child of that model was ever started, and the one before goes on.
      await expect.poll(workerPids).toEqual(serving)
      expect(await answerOf(server)).toBe(1)
      expect(server.health()).toMatchObject({ ready: true, models: [{ reloadFailed: expect.stringContaining(signal) }] })
    },
  )

  test('that hangs while it loads is killed', async () => {
    const server = await provedServerFor({ models: [] })
    const load = server.load({ name: 'm', source: slowLoadModel(4 * SLOW_LOAD), isolation: 'process', loadTimeoutMs: 300 })
    await expect(load).rejects.toMatchObject({ code: 'MODEL_LOAD_FAILED', message: expect.stringContaining('loadTimeoutMs') })
    await expect.poll(() => workerPids()).toEqual([])
  })

  test('that hangs in its trial run is killed, before a thread that nobody could end is started', async () => {
    const server = await provedServerFor({ models: [{ name: 'm', source: constantOf(1) }] })
    // Time enough to load it, here and now, and far too little for the run.
    const before = performance.now()
    await server.load({ name: 'quick', source: slowEcho(), trialRun: true, warmup: [trips(1n)] })
    const loadTimeoutMs = 500 + 5 * (performance.now() - before)
    const load = server.load({ name: 'm', source: slowEcho(), trialRun: true, warmup: [HOURS], loadTimeoutMs })
    await expect(load).rejects.toMatchObject({
      code: 'MODEL_LOAD_FAILED',
      message: expect.stringContaining('its trial run took longer'),
    })
    await expect.poll(workerPids).toEqual([])
    expect(await answerOf(server)).toBe(1)
    // Had a thread got it, this would wait for it.
    await server.close({ timeoutMs: 60_000 })
  })

  test('that dies in its trial run takes nothing with it', async () => {
    const server = await provedServerFor({ models: [] })
    const load = server.load({ name: 'm', source: slowEcho(), trialRun: true, warmup: [trips(1n), HOURS] })
    const failed = expect(load).rejects.toMatchObject({ message: expect.stringMatching(/crashed in its trial run.*SIGSEGV/) })
    const pid = await nextWorker([])
    // It has begun to run once it computes and computes and reads nothing any more, neither files nor messages.
    let [readAt, reads] = [0, -1]
    const computedTicks = (): number => {
      const [ticks, now] = [cpuTicks(pid), readsOf(pid)]
      if (now !== reads) [readAt, reads] = [ticks, now]
      return ticks - readAt
    }
    await expect.poll(computedTicks).toBeGreaterThan(40)
    process.kill(pid, 'SIGSEGV')
    await failed
    await expect.poll(workerPids).toEqual([])
  })

  test('flies by default where instances are processes, and for whom nobody vouches where that is asked for', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'trial-run-'))
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
    const pair = ecPair()
    for (const name of ['signed', 'unsigned']) writeFileSync(join(dir, `${name}.onnx`), constantOf(1))
    const signed = join(dir, 'signed.onnx')
    await signModel(signed, { privateKey: pair.privateKey, signature: `${signed}.sig` })

    const flown: string[] = []
    const telemetry = {
      load({ model, steps }: { model: string; steps: readonly { name: string }[] }) {
        if (steps.some(({ name }) => name === 'trialRun')) flown.push(model)
      },
    }
    const server = await provedServerFor({
      trust: { signers: [{ publicKey: pair.publicKey }] },
      verification: 'warn',
      store: { dir: join(dir, 'store') },
      telemetry,
      models: [
        { name: 'thread', source: signed },
        { name: 'process', source: signed, isolation: 'process' },
        { name: 'switched-off', source: signed, isolation: 'process', trialRun: false },
        { name: 'signed', source: signed, trialRun: 'unverified' },
        { name: 'unsigned', source: join(dir, 'unsigned.onnx'), trialRun: 'unverified' },
      ],
    })
    expect(server.health().ready).toBe(true)
    expect(flown.sort()).toEqual(['process', 'unsigned'])
    expect(workerPids()).toHaveLength(2)
  })

  test('whose sample does not fit leaves the complaint to the warm-up', async () => {
    const server = await provedServerFor({ models: [] })
    const load = server.load({ name: 'm', source: slowEcho(), trialRun: true, warmup: [{ x: [1] }] })
    await expect(load).rejects.toMatchObject({ message: expect.stringContaining('warmup[0] failed') })
  })
})

/** Calls of read(2) so far. */
function readsOf(pid: number): number {
  return Number(/^syscr: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'latin1'))?.[1])
}

function cpuTicks(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return Number(fields[11]) + Number(fields[12])
}

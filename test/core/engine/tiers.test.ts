/** A model in a thread and in a child process: the answers of each, the name of its end, and its remains. */

import { describe, expect, test } from 'vitest'
import { slowLoopModel } from '../../../tools/models.mjs'
import { hold, isAlive, workerPids } from '../../support/children.ts'
import { watch } from '../../support/events.ts'
import { LINUX } from '../../support/needs.ts'
import { posted, serverFor } from '../../support/server.ts'
import { constantOf } from '../../support/small-models.ts'

test.each(['thread', 'process'] as const)(
  'a %s answers, one request after the other, and after a load that failed',
  async (isolation) => {
    const server = await serverFor({ isolation, models: [{ name: 'm', source: constantOf(7) }] })
    for (let i = 0; i < 3; i++) expect((await server.predict('m', {})).outputs.y?.data[0]).toBe(7)
    await expect(server.load({ name: 'n', source: Uint8Array.of(1, 2, 3) })).rejects.toMatchObject({ code: 'MODEL_INVALID' })
    expect((await server.predict('m', {})).outputs.y?.data[0]).toBe(7)
  },
)

describe('a child process', LINUX, () => {
  test('that is killed costs its request, is told with the signal, and is replaced', async () => {
    const server = await serverFor({ isolation: 'process', models: [{ name: 'm', source: slowLoopModel() }] })
    const { next } = watch(server)
    const [pid = 0] = workerPids()
    hold([pid])
    const lost = next(({ type }) => type === 'worker-lost')
    const running = server.predict('m', { trips: 1n })
    await posted()
    process.kill(pid, 'SIGKILL')
    await expect(running).rejects.toMatchObject({ code: 'WORKER_LOST' })
    expect(await lost).toMatchObject({ reason: 'the child process was killed by SIGKILL' })
    await expect.poll(() => server.health().ready).toBe(true)
    expect(workerPids()).not.toContain(pid)
    await server.predict('m', { trips: 1n })
  })

  test('ends with its model, and nothing is told of that', async () => {
    const server = await serverFor({ isolation: 'process', models: [{ name: 'm', source: constantOf(1) }] })
    const { seen } = watch(server)
    const pids = workerPids()
    await server.unload('m')
    await server.close()
    expect(pids.filter(isAlive)).toEqual([])
    expect(seen.filter(({ type }) => type === 'worker-lost')).toEqual([])
  })
})

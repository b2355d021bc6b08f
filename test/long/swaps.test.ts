/** Roll-outs without end: a label that moves between versions in memory, and versions that are replaced, while requests come without a break. */

import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ModelServer } from 'modelmount'
import { expect, onTestFinished, test } from 'vitest'
import { workerPids } from '../support/children.ts'
import { callerOf } from '../support/mount.ts'
import { LINUX } from '../support/needs.ts'
import { serverFor } from '../support/server.ts'
import { constantOf } from '../support/small-models.ts'

const SWAPS = 10_000
const REPLACEMENTS = 200
const CALLERS = 16
/** Native memory and heap that may come and go; a model that stays costs more than this a hundred times over. */
const GROWTH_BYTES = 96 * 2 ** 20

const resultOf = (outputs: Readonly<Record<string, { readonly data: ArrayLike<unknown> }>>): number => Number(outputs.y?.data[0])

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Callers that ask without a break, and check each answer; an error in one of them ends the test. */
function asking(ask: () => Promise<void>) {
  let going = true
  let answers = 0
  const failed: unknown[] = []
  const done = Promise.all(
    Array.from({ length: CALLERS }, async () => {
      while (going && failed.length === 0) {
        await ask().then(
          () => answers++,
          (error: unknown) => failed.push(error),
        )
      }
    }),
  )
  return {
    /** Until so many were answered since the beginning. */
    async answered(count: number): Promise<void> {
      while (answers < count && failed.length === 0) await turn()
    },
    async stop(): Promise<void> {
      going = false
      await done
      expect(failed).toEqual([])
    },
  }
}

test(`${SWAPS} swaps of a label between versions in memory`, async () => {
  const server = await serverFor({
    models: ['1', '2', '3'].map((version) => ({
      name: 'm',
      version,
      source: constantOf(Number(version)),
      versionLabels: { stable: '1' },
    })),
  })
  let now = 1
  const callers = asking(async () => {
    const asked = now
    const { version, outputs } = await server.predict('m', {}, { label: 'stable' })
    // Decided when it was asked, whatever the label points at by the time it is answered.
    expect([Number(version), resultOf(outputs)]).toEqual([asked, asked])
  })
  for (let i = 0; i < SWAPS; i++) {
    now = (i % 3) + 1
    server.setVersionLabel('m', 'stable', String(now))
    // Now several in a turn, now some answers between two.
    await callers.answered(i / 4)
  }
  await callers.stop()
  expect(server.models()).toHaveLength(3)
})

/** A version replaced over and over; each answer is from the one before the replacement or the one after it, never from an older one. */
async function replaceUnderLoad(server: ModelServer, replace: (answer: number) => Promise<void>): Promise<void> {
  let oldest = 0
  let newest = 0
  const callers = asking(async () => {
    const from = oldest
    const answer = resultOf((await server.predict('m', {})).outputs)
    expect(answer).toBeGreaterThanOrEqual(from)
    expect(answer).toBeLessThanOrEqual(newest)
  })
  let before = 0
  for (let i = 1; i <= REPLACEMENTS; i++) {
    newest = i
    await replace(i)
    oldest = i
    await callers.answered(2 * i)
    // Once the allocator has seen what it takes.
    if (i === REPLACEMENTS / 4) before = process.memoryUsage().rss
  }
  await callers.stop()
  expect(resultOf((await server.predict('m', {})).outputs)).toBe(REPLACEMENTS)
  expect(server.models()).toHaveLength(1)
  expect(server.health()).toMatchObject({ ready: true })
  expect(process.memoryUsage().rss - before).toBeLessThan(GROWTH_BYTES)
}

test(`${REPLACEMENTS} replacements of a version by load() (thread tier)`, async () => {
  const server = await serverFor({ models: [{ name: 'm', source: constantOf(0) }] })
  await replaceUnderLoad(server, async (answer) => {
    await server.load({ name: 'm', source: constantOf(answer) })
  })
})

test(`${REPLACEMENTS} replacements of a version by load() (process tier)`, LINUX, async () => {
  const server = await serverFor({ models: [{ name: 'm', source: constantOf(0) }], isolation: 'process', trialRun: false })
  await replaceUnderLoad(server, async (answer) => {
    await server.load({ name: 'm', source: constantOf(answer) })
  })
  // The old ones are gone, but for the last, which may still be on its way.
  await expect.poll(() => workerPids().length).toBe(1)
})

test(`${REPLACEMENTS} replacements out of a repository, over HTTP`, async () => {
  const repository = mkdtempSync(join(tmpdir(), 'modelmount-swaps-'))
  onTestFinished(() => rmSync(repository, { recursive: true, force: true }))
  const path = join(repository, 'm/1/model.onnx')
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, constantOf(0))
  const server = await serverFor({ repository })
  const admin = callerOf(server.http.mount({ management: true }))
  await replaceUnderLoad(server, async (answer) => {
    writeFileSync(`${path}.new`, constantOf(answer))
    renameSync(`${path}.new`, path)
    expect(await admin.post('/v2/repository/models/m/load')).toMatchObject({ status: 200 })
  })
})

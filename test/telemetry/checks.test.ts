/** Models that were looked at before they may run are counted, by how that ended. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LoadEnd, type ServerEvent, signModel } from 'modelmount'
import { expect, onTestFinished, test } from 'vitest'
import { ecPair } from '../support/openssl.ts'
import { serverFor } from '../support/server.ts'
import { constantOf } from '../support/small-models.ts'
import { keep, numbers } from './support.ts'

const CHECKS = 'modelmount.model.checks'
const [ours, theirs] = [ecPair(), ecPair()]

test('verified, refused, revoked, unverified', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'checks-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const signed = async (name: string, { privateKey }: typeof ours): Promise<string> => {
    const folder = join(dir, name)
    mkdirSync(folder)
    writeFileSync(join(folder, 'model.onnx'), constantOf(name.length))
    await signModel(folder, { privateKey, signature: join(folder, 'model.sig') })
    return join(folder, 'model.onnx')
  }
  const [good, fixed, strange] = [await signed('good', ours), await signed('fixed', ours), await signed('strange', theirs)]
  const revoked = join(dir, 'revoked')
  writeFileSync(revoked, '')
  const trust = { signers: [{ publicKey: ours.publicKey }], revoked }
  const kept = keep()
  const server = await serverFor({ models: [], trust, store: { dir: join(dir, 'store') }, telemetry: kept.telemetry })
  const events: ServerEvent[] = []
  server.subscribe((event) => events.push(event))

  const { manifestId } = await server.load({ name: 'm', source: good })
  await server.load({ name: 'm', source: fixed }, { replace: true })
  await expect(server.load({ name: 'm', version: '2', source: strange })).rejects.toMatchObject({ code: 'MODEL_UNTRUSTED' })
  writeFileSync(revoked, `${manifestId}\n`)
  await expect(server.load({ name: 'm', source: good }, { replace: true })).rejects.toThrow('revoked')
  expect(events.filter(({ type }) => type === 'integrity').at(-1)).toMatchObject({ outcome: 'refused', revoked: true })
  // A refused model is gone; the count of its refusal remains.
  expect(numbers((await kept.metrics()).get(CHECKS))).toEqual(
    new Map([
      ['m verified', 2],
      ['m refused', 1],
      ['m revoked', 1],
    ]),
  )

  const lenient = keep()
  const other = await serverFor({ models: [], trust, verification: 'warn', telemetry: lenient.telemetry })
  await other.load({ name: 'm', source: strange })
  expect(numbers((await lenient.metrics()).get(CHECKS))).toEqual(new Map([['m unverified', 1]]))
})

const failedAt = (model: string, name: LoadEnd['steps'][number]['name'], error: LoadEnd['error']): LoadEnd => {
  const at = { startedAt: 0, endedAt: 1 }
  return { model, version: '1', error, ...at, steps: (['read', name] as const).map((name) => ({ name, ...at })) }
}

test('a trial run that did not come back counts; any other failed load, and a trial run that did, do not', async () => {
  const kept = keep()
  await serverFor({ models: [], telemetry: kept.telemetry })
  kept.telemetry.load?.(failedAt('m', 'trialRun', 'MODEL_LOAD_FAILED'))
  kept.telemetry.load?.(failedAt('m', 'load', 'MODEL_LOAD_FAILED'))
  kept.telemetry.load?.(failedAt('m', 'trialRun', undefined))
  expect(numbers((await kept.metrics()).get(CHECKS))).toEqual(new Map([['m trial-run-failed', 1]]))
})

test('names without end are a thousand and one', async () => {
  const kept = keep()
  await serverFor({ models: [], telemetry: kept.telemetry })
  for (let i = 0; i < 1500; i++) kept.telemetry.load?.(failedAt(`m${i}`, 'trialRun', 'MODEL_LOAD_FAILED'))
  const counted = numbers((await kept.metrics()).get(CHECKS))
  expect(counted.size).toBe(1001)
  expect(counted.get('_OTHER trial-run-failed')).toBe(500)
})

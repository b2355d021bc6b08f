/** A caller's fault is told to that caller, by its code, and costs the others nothing. */

import type { PredictInputs, PredictOptions } from 'modelmount'
import { expect } from 'vitest'
import { scalarModel } from '../../../../tools/models.mjs'
import { type Case, four } from '../case.ts'

const A = { a: [[1, 2, 3, 4]], b: [[1, 2, 3, 4]] }

const WRONG: readonly (readonly [model: string, inputs: unknown])[] = [
  ['add', { a: A.a }],
  ['add', { ...A, c: 1 }],
  ['add', { a: [1, 2, 3, 4], b: A.b }],
  ['add', { a: [[1, 2, 3]], b: [[1, 2, 3]] }],
  ['add', { a: new Float64Array(4), b: A.b }],
  ['add', { a: new Float32Array(5), b: A.b }],
  ['add', { a: { type: 'float32', dims: [2, 4], data: new Float32Array(7) }, b: A.b }],
  ['add', undefined],
  ['open', { a: [[1, 2]], b: [[1], [2]] }],
  ['small', { x: new Float32Array(11) }],
  ['small', { x: Float32Array.of(Number.NaN) }],
]

export const FAULTS: readonly Case[] = [
  {
    name: 'wrong inputs are INPUT_INVALID',
    async run({ server }) {
      for (const [model, inputs] of WRONG)
        await expect(server.predict(model, inputs as PredictInputs)).rejects.toMatchObject({ code: 'INPUT_INVALID', status: 400 })
      await expect(server.predict('add', { a: [['1', 2, 3, 4]], b: A.b })).rejects.toMatchObject({
        details: { input: 'a', field: 'a[0][0]', expected: 'a number', got: 'string' },
      })
    },
  },
  {
    name: 'unknown outputs, models, versions and options have codes of their own',
    async run({ server }) {
      const refused = async (code: string, model: string, opts: unknown): Promise<void> =>
        await expect(server.predict(model, A, opts as PredictOptions)).rejects.toMatchObject({ code })
      await refused('OUTPUT_NOT_FOUND', 'add', { outputs: ['nope'] })
      await refused('MODEL_NOT_FOUND', 'nope', {})
      await refused('VERSION_NOT_FOUND', 'add', { version: '2' })
      await refused('OPTIONS_INVALID', 'add', { nope: true })
      await refused('OPTIONS_INVALID', 'add', { timeoutMs: -1 })
    },
  },
  {
    name: 'a value that the model itself refuses is INPUT_REJECTED, without its words',
    async run({ server }) {
      const refused = await server.predict('gather', { indices: [99] }).catch((error: unknown) => error as Error)
      expect(refused).toMatchObject({ code: 'INPUT_REJECTED', status: 400, retryable: false })
      expect((refused as Error).message).not.toMatch(/status code|Gather|indices element/i)
      expect((await server.predict('gather', { indices: [1] })).outputs.rows?.data).toEqual(Float32Array.of(4, 5, 6, 7))
    },
  },
  {
    name: 'a poisonous row costs its caller alone, in messages and in shared runs',
    async run({ server }) {
      for (const model of ['gather', 'shared-gather']) {
        const pending = Array.from({ length: 40 }, (_, i) => server.predict(model, { indices: [i % 7 === 3 ? 99 : i % 8] }))
        for (const [i, outcome] of (await Promise.allSettled(pending)).entries()) {
          const first = 4 * (i % 8)
          if (i % 7 === 3) expect(outcome).toMatchObject({ reason: { code: 'INPUT_REJECTED' } })
          else
            expect(outcome).toMatchObject({
              value: { outputs: { rows: { data: Float32Array.of(first, first + 1, first + 2, first + 3) } } },
            })
        }
      }
    },
  },
  {
    name: 'refused requests beside good ones change nothing for these',
    async run({ server }) {
      const pending = Array.from({ length: 60 }, (_, i) =>
        server.predict('add', i % 3 === 0 ? { a: four(i) } : { a: four(i), b: four(1) }),
      )
      for (const [i, outcome] of (await Promise.allSettled(pending)).entries())
        expect(outcome).toMatchObject(
          i % 3 === 0 ? { reason: { code: 'INPUT_INVALID' } } : { value: { outputs: { sum: { data: four(i + 1) } } } },
        )
    },
  },
  {
    name: 'a file that is no model fails by itself',
    async run({ tier, serve }) {
      const server = await serve([{ name: 'scalar', source: scalarModel() }])
      const broken = { ...tier.settings, name: 'broken', source: Uint8Array.of(1, 2, 3) }
      await expect(server.load(broken)).rejects.toMatchObject({ code: 'MODEL_INVALID' })
      expect((await server.predict('scalar', { x: 1 })).outputs.y?.data).toEqual(Float32Array.of(2))
    },
  },
]

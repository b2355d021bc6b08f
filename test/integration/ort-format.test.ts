/** `.ort` files: only when allowed, and judged by the loaded session because their graph cannot be read before. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createModelServer } from 'modelmount'
import * as ort from 'onnxruntime-node'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { int4OutputModel, mlpModel } from '../../tools/models.mjs'

const dir = mkdtempSync(join(tmpdir(), 'ort-format-test-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** ONNX Runtime itself writes the format. The model is only loaded: running one with an int4 output would abort the process. */
async function convert(name: string, model: Uint8Array): Promise<void> {
  const session = await ort.InferenceSession.create(model, {
    optimizedModelFilePath: join(dir, name),
    extra: { session: { save_model_format: 'ORT' } },
    graphOptimizationLevel: 'basic',
    logSeverityLevel: 4,
  })
  await session.release()
}

beforeAll(async () => {
  await convert('mlp.ort', mlpModel())
  await convert('int4.ort', int4OutputModel())
  writeFileSync(join(dir, 'junk.ort'), 'not a model')
})

test('is served when it is allowed', async () => {
  await using server = await createModelServer({
    models: [
      { name: 'onnx', source: mlpModel() },
      { name: 'ort', source: join(dir, 'mlp.ort'), allowOrtFormat: true },
    ],
    proof: 'before-ready',
    logger: false,
    strict: true,
  })
  // The effect of made-up values on its operators is unknown, so none are given away as an example.
  const examplesOf = (name: string): boolean =>
    JSON.stringify(server.openapi().paths[`/v2/models/${name}/infer`]).includes('"example"')
  expect([examplesOf('onnx'), examplesOf('ort')]).toEqual([true, false])
  const inputs = { features: [Array.from({ length: 32 }, (_, i) => Math.sin(i))] }
  expect((await server.predict('ort', inputs)).outputs).toEqual((await server.predict('onnx', inputs)).outputs)
  expect(server.model('ort').inputs).toMatchObject([{ name: 'features', type: 'float32', dims: ['batch', 32] }])
})

test.each([
  ['is refused when it is not allowed', 'mlp.ort', false, 'MODEL_UNSUPPORTED'],
  ['with an int4 output is refused before it can run', 'int4.ort', true, 'MODEL_UNSUPPORTED'],
  ['that is none fails', 'junk.ort', true, /MODEL_(INVALID|LOAD_FAILED|UNSUPPORTED)/],
] as const)('%s', async (_, file, allowOrtFormat, code) => {
  await using server = await createModelServer({
    models: [{ name: 'm', source: join(dir, file), allowOrtFormat }],
    logger: false,
  })
  expect(server.model('m').state).toBe('failed')
  expect(server.model('m').reason?.code).toMatch(code)
  expect(server.health().live).toBe(true)
})

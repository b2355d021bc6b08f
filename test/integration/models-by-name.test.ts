/** `models: { fraud: './fraud.onnx' }`: a file by its name. */

import { join } from 'node:path'
import { expect, test } from 'vitest'
import { addModel } from '../../tools/models.mjs'
import { serverFor } from '../support/server.ts'
import { treeFor } from '../support/tree.ts'

test('a model file by name answers under that name', async () => {
  const root = treeFor({ 'fraud.onnx': addModel() })
  const server = await serverFor({ strict: true, models: { fraud: join(root, 'fraud.onnx') } })
  const { model, version, outputs } = await server.predict('fraud', { a: [[1, 2, 3, 4]], b: [[1, 2, 3, 4]] })
  expect({ model, version }).toEqual({ model: 'fraud', version: '1' })
  expect(outputs.sum?.data).toEqual(new Float32Array([2, 4, 6, 8]))
})

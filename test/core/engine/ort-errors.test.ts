/** ONNX Runtime's sentences as codes of ours; a sentence that may quote the model stands in the cause alone. */

import { expect, test } from 'vitest'
import { loadError, runError } from '../../../src/core/engine/ort-errors.ts'

test.each([
  ['Load model failed: Protobuf parsing failed.', 'MODEL_INVALID'],
  ['No graph was found in the protobuf.', 'MODEL_INVALID'],
  ['ONNX Runtime only guarantees support for models stamped with officially released opsets', 'MODEL_UNSUPPORTED'],
  ['a.b.C(1) is not a registered function/op', 'MODEL_UNSUPPORTED'],
  ['Failed to construct locale with name:de_DE.UTF-8:locale', 'MODEL_LOAD_FAILED'],
  ['Something else', 'MODEL_LOAD_FAILED'],
])('a load that says %j', (said, code) => {
  const error = loadError(said)
  expect(error).toMatchObject({ code, cause: expect.objectContaining({ message: said }) })
  expect(error.message.includes('needs the locale de_DE.UTF-8')).toBe(said.includes('locale'))
})

test('what is quoted is bounded, on one line', () => {
  const { message, cause } = loadError(`a\nb${'x'.repeat(5000)}`)
  expect(message).not.toContain('\n')
  expect((cause as Error).message.length).toBe(1000)
})

test.each([
  ['Non-zero status code returned while running Gather node', 'INPUT_REJECTED'],
  ['Got invalid dimensions for input: x', 'INPUT_REJECTED'],
  ['Non-zero status code returned while running Conv: Failed to allocate memory', 'INFERENCE_FAILED'],
  ['std::bad_alloc', 'INFERENCE_FAILED'],
  ['Something else', 'INFERENCE_FAILED'],
])('a run that says %j', (said, code) => {
  const error = runError(said)
  expect(error).toMatchObject({ code, cause: expect.objectContaining({ message: said }) })
  expect(error.message).not.toContain(said)
})

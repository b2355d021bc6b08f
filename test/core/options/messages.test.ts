/** Faults of options: all of them at once, each with its path, what was expected, what came, and the key that was probably meant. */

import { describe, expect, test } from 'vitest'
import { isModelmountError } from '../../../src/core/errors.ts'
import { resolveOptions, resolveSpec } from '../../../src/core/options/index.ts'
import { nearest } from '../../../src/core/options/suggest.ts'
import { checkPredictOptions } from '../../../src/core/predict/options.ts'

const problemsOf = (act: () => unknown): unknown => {
  try {
    act()
  } catch (error) {
    if (isModelmountError(error) && error.code === 'OPTIONS_INVALID') return error.details?.problems
    throw error
  }
  return []
}

test('all problems are reported at once', () => {
  const options = {
    niceness: 99,
    balance: 'fastes',
    timeoutMS: 5,
    batching: { maxSize: 0, maxsize: 2 },
    instances: '2',
    executionProviders: ['gpu', { name: 'cuda', id: 1 }],
    models: [{ name: 'a', source: 'a.onnx', scaling: { idleMs: 0 }, inputs: { x: { dim: [1] } } }, { source: 7 }],
    trust: { signers: [{ publicKey: [] }, { models: ['*'] }] },
    logger: {},
  }
  expect(problemsOf(() => resolveOptions(options as object))).toEqual([
    'niceness must be an integer from 0 to 19, got 99',
    `balance must be one of 'fastest', 'round-robin', 'least-outstanding', 'response-time', 'two-choices', got "fastes"`,
    'timeoutMS is not an option; did you mean timeoutMs?',
    'batching.maxSize must be an integer from 1 to 1024, got 0',
    'batching.maxsize is not an option; did you mean maxSize?',
    'instances must be an integer from 1 to 256, or { min, max }, got "2"',
    "executionProviders[0] must be one of 'cpu', 'cuda', 'tensorrt', 'dml', 'coreml', 'webgpu', or { name, deviceId }, got \"gpu\"",
    'executionProviders[1].id is not an option; known are name, deviceId',
    'models[0].scaling.idleMs must be a number of milliseconds over 0, got 0',
    'models[0].inputs.x.dim is not an option; did you mean dims?',
    'models[1].name is missing',
    'models[1].source must be a path, a file: URL or a Uint8Array, got 7',
    'trust.signers[0].publicKey must not be empty',
    'trust.signers[1] must have publicKey, certificates or keyless',
    'logger must be false or have the methods info (or log), warn and error',
  ])
})

test('contradictions between options that are right by themselves', () => {
  const batching = { maxDelayMs: 50, ragged: { mask: 'm', axes: { x: 0 }, padValue: { m: 1 } }, axes: { m: 'shared' } } as const
  const options = {
    verification: 'require',
    maxBodyBytes: 1000,
    maxInflightBytes: 3999,
    maxMemoryBytes: 2 ** 20,
    timeoutMs: 20,
    models: [
      { name: 'a', source: 'a.onnx', versionLabels: { stable: '1' }, batching },
      { name: 'a', source: 'b.onnx', versionLabels: { stable: '2' }, sequences: {} },
    ],
  } as const
  expect(problemsOf(() => resolveOptions(options))).toEqual([
    expect.stringContaining("verification: 'require' needs trust.signers"),
    'maxInflightBytes (3999) must be at least 4 times maxBodyBytes (1000)',
    expect.stringMatching(/^maxMemoryBytes needs isolation: 'process'/),
    'models[0].batching.maxDelayMs (50) must be under timeoutMs (20)',
    expect.stringMatching(/^models\[0\]\.batching\.ragged\.mask is 'm', which axes declares as shared/),
    expect.stringMatching(/^models\[0\]\.batching\.ragged\.padValue\.m must be 0/),
    expect.stringMatching(/^models\[0\]\.batching\.ragged\.axes\.x is 0/),
    'models[1].sequences must name the inputs of its state, or controls',
    "models[1] is a second version '1' of 'a'",
    "models[1].versionLabels.stable is '2', but another version of 'a' says '1'",
  ])
})

test('of a call', () => {
  const opts = { timeoutMs: 0, output: ['y'], sequence: { start: 1 }, version: '1', label: 'stable' }
  expect(problemsOf(() => checkPredictOptions(opts))).toEqual([
    'opts.timeoutMs must be a number of milliseconds over 0, got 0',
    'opts.output is not an option; did you mean outputs?',
    'opts.sequence.id is missing',
    'opts.sequence.start must be true or false, got 1',
    'opts.version and opts.label exclude each other',
  ])
})

test.each([
  ['nothing', null, 'opts must be an object, got null'],
  ['a string', 'x', 'opts must be an object, got "x"'],
])('%s instead of options', (_, value, problem) => {
  expect(problemsOf(() => checkPredictOptions(value))).toEqual([problem])
})

test('options that are none', () => {
  expect(problemsOf(() => resolveOptions([] as object))).toEqual(['options must be an object, got an array'])
  expect(problemsOf(() => resolveSpec({ name: 'a/b', source: '' }, {}))).toEqual([
    expect.stringMatching(/^spec\.name must be a name of letters, digits/),
    'spec.source must be a path, a file: URL or a Uint8Array, got ""',
  ])
})

describe('the key that was probably meant', () => {
  const known = ['timeoutMs', 'maxTimeoutMs', 'maxBatch', 'cache', 'id']
  test.each([
    ['timeoutMS', 'timeoutMs'],
    ['timeout', 'timeoutMs'],
    ['tiemoutMs', 'timeoutMs'],
    ['maxTimeout', 'maxTimeoutMs'],
    ['maxbatch', 'maxBatch'],
    ['cahce', 'cache'],
    ['iid', 'id'],
    ['speed', undefined],
    ['x', undefined],
    ['timeoutMs'.repeat(10), undefined],
  ])('%s -> %s', (word, expected) => expect(nearest(word, known)).toBe(expected))
})

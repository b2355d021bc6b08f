/** `models` as an object by name. */

import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { resolveOptions } from '../../../src/core/options/index.ts'

const BYTES = new Uint8Array([1, 2, 3])

test('a path, a URL, bytes or a spec without its name', () => {
  const { models } = resolveOptions({
    niceness: 3,
    models: {
      fraud: './fraud.onnx',
      url: pathToFileURL('/models/url.onnx'),
      bytes: BYTES,
      churn: { source: 'churn.onnx', version: '2', instances: 2, niceness: 4, labels: { y: ['no', 'yes'] } },
    },
  })
  expect(models.map(({ name, version, source, niceness }) => ({ name, version, source, niceness }))).toEqual([
    { name: 'fraud', version: '1', source: resolve('fraud.onnx'), niceness: 3 },
    { name: 'url', version: '1', source: '/models/url.onnx', niceness: 3 },
    { name: 'bytes', version: '1', source: BYTES, niceness: 3 },
    { name: 'churn', version: '2', source: resolve('churn.onnx'), niceness: 4 },
  ])
  expect(models[3]?.instances).toEqual({ min: 2, max: 2 })
})

test('is the same as the list', () => {
  const spec = { source: 'a.onnx', batching: { maxSize: 8 }, metadata: { team: 'risk' } }
  expect(resolveOptions({ models: { a: spec } }).models).toEqual(resolveOptions({ models: [{ name: 'a', ...spec }] }).models)
})

test('an empty object is a server that loads later', () => {
  expect(resolveOptions({ models: {} }).models).toEqual([])
})

test('faults have the path by name', () => {
  const models = {
    'a/b': 'x.onnx',
    web: 'https://x/y.onnx',
    empty: '',
    many: { source: 'x.onnx', instance: 2 },
    named: { name: 'x', source: 'y' },
  }
  expect(() => resolveOptions({ models: models as never })).toThrow(
    expect.objectContaining({
      details: {
        problems: [
          expect.stringMatching(/^a name in models must be a name of letters, digits/),
          'models.web must be a path or a file: URL; fetch remote models yourself and pass the bytes',
          'models.empty must be a path, a file: URL or a Uint8Array, got ""',
          'models.many.instance is not an option; did you mean instances?',
          expect.stringMatching(/^models\.named\.name is not an option; known are version, source, /),
        ],
      },
    }),
  )
  expect(() => resolveOptions({ models: { a: { source: 'a.onnx', maxMemoryBytes: 2 ** 20 } } })).toThrow(
    /^models\.a\.maxMemoryBytes needs isolation/,
  )
  expect(() => resolveOptions({ models: 'a.onnx' as never })).toThrow(
    'models must be an array, or an object by name, got "a.onnx"',
  )
})

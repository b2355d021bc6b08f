/** Messages of Node and the loader about workers that cannot start, as errors of ours; and folders for children. */

import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { makeEmptyFolder } from '../../../src/core/engine/empty-folder.ts'
import { hostProblem, refusedByHost } from '../../../src/core/host/problems.ts'

test.each([
  [
    "/app/node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime.so.1: version `VERS_1.30.0' not found (required by /app/x.node)",
    'onnxruntime-conflict',
    "isolation: 'process'",
  ],
  ['Error: Access to this API has been restricted. Use --allow-worker', 'permission', '--allow-worker'],
  ['Cannot load native addon because loading addons is disabled.', 'permission', '--allow-addons'],
  ["Cannot find module 'onnxruntime-node'\nRequire stack:", 'onnxruntime-missing', 'npm install onnxruntime-node'],
  ['libonnxruntime.so.1: cannot open shared object file: No such file or directory', 'onnxruntime-missing', 'not shipped'],
])('%s', (text, problem, remedy) => {
  expect(hostProblem(text)).toMatchObject({
    code: 'HOST_UNSUPPORTED',
    status: 500,
    retryable: false,
    details: { problem },
    message: expect.stringContaining(remedy),
    cause: expect.objectContaining({ message: text }),
  })
})

test('anything else is not blamed on the host', () => {
  for (const text of ['', 'the child process was killed by SIGSEGV', 'Failed to load model because protobuf parsing failed.'])
    expect(hostProblem(text)).toBeUndefined()
  fc.assert(
    fc.property(fc.string(), (text) => {
      const error = new Error(text)
      expect(refusedByHost(error)).toBe(error)
    }),
  )
})

test('an empty folder is made in the first place that can be written to, and removed once', () => {
  const place = mkdtempSync(`${tmpdir()}/places-`)
  onTestFinished(() => rmSync(place, { recursive: true, force: true }))
  const { path, remove } = makeEmptyFolder(['/proc/nowhere', place])
  expect(dirname(path)).toBe(place)
  expect(readdirSync(path)).toEqual([])
  remove()
  remove()
  expect(readdirSync(place)).toEqual([])
})

test('where no place can be written to, the error names them and the remedy', () => {
  expect(() => makeEmptyFolder(['/proc/nowhere', '/proc/self'])).toThrow(
    expect.objectContaining({
      code: 'HOST_UNSUPPORTED',
      details: { problem: 'temporary-folder' },
      message: expect.stringMatching(/\/proc\/nowhere \(E\w+\), \/proc\/self \(E\w+\): set TMPDIR/),
    }),
  )
})

/** The combined settings of a model directory's files, without a server. */

import { describe, expect, test } from 'vitest'
import { readModelConfig } from '../../../src/core/registry/model-config.ts'
import { pathInside, readSmallFile, readText } from '../../../src/core/registry/read-file.ts'
import { type Files, treeFor } from '../../support/tree.ts'

const read = (files: Files) => readModelConfig(treeFor({ 'some.txt': '', ...files }), 'm')

describe('model.json and config.pbtxt', () => {
  test('absent, they say nothing', async () => {
    expect(await read({})).toEqual({
      settings: {},
      versionPolicy: undefined,
      file: undefined,
      tritonConfig: undefined,
      configNotes: [],
      fault: undefined,
    })
  })

  test('together, model.json wins field by field', async () => {
    const config = await read({
      'config.pbtxt': 'max_batch_size: 8 default_model_filename: "a.onnx" version_policy { all {} } later: 1',
      'model.json': JSON.stringify({ $schema: 's', file: 'b.onnx', versionPolicy: { latest: 2 }, maxBatch: 4 }),
    })
    expect(config).toMatchObject({
      settings: { maxBatch: 4, batching: { maxSize: 8 } },
      versionPolicy: { latest: 2 },
      file: 'b.onnx',
      tritonConfig: { max_batch_size: 8 },
      configNotes: [{ file: 'config.pbtxt', field: 'later', reason: expect.stringMatching(/not know/) }],
      fault: undefined,
    })
    expect(config.settings).not.toHaveProperty('$schema')
    expect(await read({ 'config.pbtxt': 'default_model_filename: "a.onnx" version_policy { all {} }' })).toMatchObject({
      versionPolicy: 'all',
      file: 'a.onnx',
    })
    expect(await read({ 'model.json': '{ "maxBatch": 4 }' })).toMatchObject({
      settings: { maxBatch: 4 },
      versionPolicy: undefined,
      file: undefined,
      tritonConfig: undefined,
    })
  })

  test('labels stand in lists and in files, a label a line', async () => {
    const { settings, fault } = await read({
      'config.pbtxt': 'output [ { name: "p" label_filename: "p.txt" }, { name: "q" label_filename: "q.txt" } ]',
      'model.json': JSON.stringify({ labels: { q: ['own'], r: 'r.txt' } }),
      'p.txt': 'cat\r\ndog\n',
      'q.txt': 'other',
      'r.txt': 'one\n\nthree',
    })
    expect(fault).toBeUndefined()
    expect(settings.labels).toEqual({ p: ['cat', 'dog'], q: ['own'], r: ['one', '', 'three'] })
    expect((await read({ 'model.json': '{ "maxBatch": 4 }' })).settings).not.toHaveProperty('labels')
  })

  test('warm-up data is made for each repeat', async () => {
    const { settings, fault } = await read({
      'config.pbtxt':
        'model_warmup { name: "w" count: 2 inputs { key: "x" value { data_type: TYPE_INT32 dims: 2 input_data_file: "x" } } }',
      'warmup/x': Uint8Array.of(1, 0, 0, 0, 2, 0, 0, 0),
    })
    expect(fault).toBeUndefined()
    const sample = { x: { type: 'int32', dims: [2], data: Int32Array.of(1, 2) } }
    expect(settings.warmup).toEqual([sample, sample])
  })

  test.each<[string, Files, object]>([
    ['no JSON', { 'model.json': '{' }, { message: expect.stringMatching(/^model.json is not valid JSON: ./) }],
    [
      'two problems',
      { 'model.json': '{ "a": 1, "b": 2 }' },
      {
        message: expect.stringMatching(/^model.json: 2 problems: .*; /),
        details: { problems: [expect.any(String), expect.any(String)] },
      },
    ],
    ['one problem', { 'model.json': '{ "a": 1 }' }, { message: expect.not.stringMatching(/1 problem/) }],
    [
      'bytes that are no text',
      { 'model.json': Uint8Array.of(0xff) },
      { message: expect.stringMatching(/is not text in UTF-8$/) },
    ],
    ['a folder', { 'model.json/x': '' }, { message: expect.stringMatching(/is not a regular file$/) }],
    [
      'more than a megabyte',
      { 'model.json': ' '.repeat(1024 * 1024 + 1) },
      { message: expect.stringMatching(/is larger than 1048576 bytes$/) },
    ],
    [
      'labels that are not there',
      { 'model.json': '{ "labels": { "p": "p.txt" } }' },
      {
        message: 'label file of "p": there is no file "p.txt" in the model\'s directory',
        details: { field: 'label file of "p"' },
      },
    ],
    [
      'labels of elsewhere',
      { 'model.json': '{ "labels": { "p": "../p.txt" } }' },
      { message: expect.stringContaining('must name a file inside'), details: { field: 'label file of "p"' } },
    ],
    [
      'warm-up data of elsewhere',
      { 'config.pbtxt': warmUpFrom('../some.txt') },
      { message: expect.stringContaining('must name a file inside') },
    ],
    [
      'warm-up data that is not there',
      { 'config.pbtxt': warmUpFrom('y') },
      { message: expect.stringContaining('there is no file "y"') },
    ],
    [
      'warm-up data of another size',
      { 'config.pbtxt': warmUpFrom('x'), 'warmup/x': 'abc' },
      { message: expect.stringContaining('expected 8 bytes for 2 elements, got 3') },
    ],
  ])('with %s are a fault of this model', async (_what, files, fault) => {
    const config = await read(files)
    expect(config.settings).toEqual({})
    expect(config.fault).toMatchObject({ code: 'CONFIG_INVALID', ...fault })
  })

  test('keep what was read before the fault: the version policy and the notes', async () => {
    const files = {
      'config.pbtxt': 'version_policy { all {} } later: 1',
      'model.json': '{ "versionPolicy": "all", "labels": { "p": "p.txt" } }',
    }
    expect(await read(files)).toMatchObject({ versionPolicy: 'all', configNotes: [{ field: 'later' }], tritonConfig: {} })
  })
})

function warmUpFrom(file: string): string {
  return `model_warmup { name: "w" inputs { key: "x" value { data_type: TYPE_INT32 dims: 2 input_data_file: "${file}" } } }`
}

describe('a small file', () => {
  test('is read up to its bound, to the byte', async () => {
    const root = treeFor({ a: 'abcd' })
    expect(await readText(`${root}/a`, 4)).toBe('abcd')
    await expect(readSmallFile(`${root}/a`, 3)).rejects.toMatchObject({ code: 'CONFIG_INVALID', details: { field: `${root}/a` } })
    expect(await readText(`${root}/none`, 4)).toBeUndefined()
    await expect(readText(`${root}/a/b`, 4)).rejects.toMatchObject({ message: expect.stringContaining('(ENOTDIR)') })
  })

  test.each(['../a', '/a', '.', '', 'a/../..', 'a\0b', '../dir-more/a'])('of the name %j is none of its directory', (name) => {
    expect(() => pathInside('/some/dir', name, 'f')).toThrow(expect.objectContaining({ details: { field: 'f' } }))
  })

  test.each(['a', 'b/a', './a', 'b/../a'])('of the name %j is one of its directory', (name) => {
    expect(pathInside('/some/dir/', name, 'f')).toMatch(/^\/some\/dir\/(b\/)?a$/)
  })
})

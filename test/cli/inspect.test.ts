import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { inspect } from '../../src/cli/inspect.ts'
import * as models from '../../tools/models.mjs'
import { node, sequenceValue, value, writeModel } from '../../tools/onnx-writer.mjs'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'modelmount-inspect-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

async function shown(bytes: Uint8Array, json = false): Promise<string> {
  const path = join(dir, 'model.onnx')
  await writeFile(path, bytes)
  return inspect(path, { json })
}

const hostile = () =>
  writeModel({
    doc: 'line\nservable: yes\r\x1b[2J',
    metadata: { 'k\x1b]0;title\x07': 'v\u009b31m', __proto__x: '\u202edrow' },
    graph: {
      name: 'g\x00',
      inputs: [value('x\nservable: yes', 'float', ['N\x1b[1m'], { doc: 'd\x7f' })],
      outputs: [value('y', 'float', [2])],
      nodes: [node('Op\x1b', ['x'], ['y'], {}, { domain: 'evil\n' })],
    },
  })

test('a table', async () => {
  expect((await shown(models.mlpModel({ layers: [4, 3, 2] }))).replace(dir, 'DIR')).toBe(`file           DIR/model.onnx
size           ${models.mlpModel({ layers: [4, 3, 2] }).length} bytes
IR version     8
opsets         ai.onnx 17
producer       modelmount-tools
graph          mlp, 3 nodes
weights        4 initializers, 92 bytes in the file
operators      2: Gemm, Relu
external data  none

inputs
  features  tensor(float)  [batch, 4]

outputs
  scores  tensor(float)  [batch, 2]

metadata
  kind  mlp

servable: yes`)
})

test('open shapes, left out outputs, external data', async () => {
  const table = await shown(
    writeModel({
      graph: {
        inputs: [value('x', 'float', [null, 4]), value('any', 'int8')],
        outputs: [value('y', 'float', []), sequenceValue('pair', 'float', [2])],
        nodes: [node('Identity', ['x'], ['y'])],
      },
    }),
  )
  expect(table).toContain('  x    tensor(float)  [?, 4]\n  any  tensor(int8)   ?\n')
  expect(table).toContain('  y     tensor(float)       []\n  pair  seq(tensor(float))  ?     (left out: not a tensor)\n')
  expect(table).toContain('servable: yes')
  expect(await inspect(models.externalDataModel(dir), { json: false })).toContain('external data  weights.bin\n')
})

test('why a model is not servable', async () => {
  expect(await shown(models.int4OutputModel())).toContain(
    '\nservable: no, output "y" is of type tensor(int4), which cannot be returned',
  )
  expect(await shown(models.customOpModel())).toContain('\nservable: no, custom operator com.example:Foo needs a library')
})

test('a hostile file cannot write to the terminal', async () => {
  const table = await shown(hostile())
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are the point
  expect(table).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/)
  expect(table.split('\n').filter((line) => line.startsWith('servable:'))).toEqual([
    'servable: no, custom operator evil\\x0a:Op\\x1b needs a library that is not loaded',
  ])
  expect(table).toContain('\\x1b]0;title\\x07')
  expect(table).toContain('[N\\x1b[1m]')
})

test('JSON', async () => {
  const json = await shown(hostile(), true)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are the point
  expect(json).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/)
  const parsed = JSON.parse(json)
  expect(Object.keys(parsed)).toEqual([
    'file',
    'size',
    'servable',
    'reason',
    'irVersion',
    'opsets',
    'producer',
    'producerVersion',
    'domain',
    'modelVersion',
    'doc',
    'graph',
    'inputs',
    'outputs',
    'nodes',
    'operators',
    'initializers',
    'initializerBytes',
    'externalData',
    'metadata',
  ])
  // escaped, not lost
  expect(parsed.metadata).toEqual({ 'k\x1b]0;title\x07': 'v\u009b31m', __proto__x: '\u202edrow' })
  expect(parsed.inputs).toEqual([
    { name: 'x\nservable: yes', type: 'float32', declaredType: 'tensor(float)', shape: ['N\x1b[1m'], doc: 'd\x7f' },
  ])
  expect(parsed.servable).toBe(false)
})

test('JSON of numbers beyond 2^53 and of outputs that are left out', async () => {
  const parsed = JSON.parse(
    await shown(
      writeModel({
        modelVersion: 2n ** 62n,
        graph: { inputs: [value('x', 'float', [2n ** 60n])], outputs: [value('y', 'float'), sequenceValue('s', 'float')] },
      }),
      true,
    ),
  )
  expect(parsed.modelVersion).toBe('4611686018427387904')
  expect(parsed.inputs[0].shape).toEqual([2 ** 60])
  expect(parsed.outputs).toMatchObject([
    { name: 'y', shape: null, served: true },
    { name: 's', type: null, served: false },
  ])
})

test('a file that is no model', async () => {
  await expect(shown(new TextEncoder().encode('hello'))).rejects.toMatchObject({ code: 'MODEL_INVALID' })
})

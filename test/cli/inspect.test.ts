import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { inspect } from '../../src/cli/inspect.ts'
import { inspectSecurity } from '../../src/cli/security.ts'
import * as models from '../../tools/models.mjs'
import { node, sequenceValue, tensor, untypedValue, value, writeModel } from '../../tools/onnx-writer.mjs'
import { dictionaries, graphOf, scoring, zipMap } from '../support/classifiers.ts'

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
  expect(table).toContain(
    '  y     tensor(float)       []\n  pair  seq(tensor(float))  ?     (left out: it is seq(tensor(float)), which onnxruntime-node cannot carry: let it end with ConcatFromSequence, or give each tensor an output of its own)\n',
  )
  expect(table).toContain('servable: yes')
  expect(await inspect(models.externalDataModel(dir), { json: false })).toContain('external data  weights.bin\n')
})

test('what is edited, and what comes of it', async () => {
  const zipped = graphOf({
    irVersion: 14,
    outputs: [value('label', 'string', ['N']), dictionaries('p\x1b', ['a', 'b']), sequenceValue('s', 'float')],
    nodes: [scoring(['a', 'b']), zipMap('scores', 'p\x1b', ['a', 'b'])],
  })
  expect(await shown(zipped)).toContain(`
outputs
  label  tensor(string)                  [N]
  p\\x1b  seq(map(string,tensor(float)))  ?      (served as tensor(float) [?, 2], classes: 2)
  s      seq(tensor(float))              ?      (left out: it is seq(tensor(float)), which onnxruntime-node cannot carry: let it end with ConcatFromSequence, or give each tensor an output of its own)

edits
  zipmap      p\\x1b       the tensor "scores" is served in place of the dictionaries that ZipMap makes of it
  cut-output  s           onnxruntime-node cannot carry seq(tensor(float))
  ir-version  ir_version  lowered from 14 to 13, of which nothing newer is used

metadata
  none

servable: yes`)
  const parsed = JSON.parse(await shown(zipped, true))
  expect(parsed).toMatchObject({
    servable: true,
    irVersion: 14,
    edits: [{ edit: 'zipmap' }, { edit: 'cut-output', target: 's' }, { edit: 'ir-version' }],
    outputs: [
      { name: 'label', served: true, labels: null },
      {
        declaredType: 'seq(map(string,tensor(float)))',
        served: true,
        servedAs: { type: 'float32', shape: [null, 2] },
        labels: ['a', 'b'],
      },
      { name: 's', served: false, servedAs: null, reason: expect.stringContaining('ConcatFromSequence') },
    ],
  })
  const open = writeModel({
    graph: {
      inputs: [value('x', 'float', [2])],
      outputs: [untypedValue('y')],
      nodes: [node('Tokenizer', ['x'], ['y'], {}, { domain: 'com.microsoft' })],
    },
  })
  expect(await shown(open)).toContain('(its type is known once it is loaded)')
})

test('why a model is not servable', async () => {
  expect(await shown(models.int4OutputModel())).toContain(
    '\nservable: no, its only output, "y", is tensor(int4), which onnxruntime-node cannot carry: let it end with a Cast to an integer of 8 bits',
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
    'edits',
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

describe('--security', () => {
  const security = async (bytes: Uint8Array, json = false) => {
    const path = join(dir, 'scanned.onnx')
    await writeFile(path, bytes)
    const { text, isClean } = await inspectSecurity(path, { json })
    return { text: text.replaceAll(dir, 'DIR'), isClean }
  }

  test('of an honest model', async () => {
    const bytes = models.mlpModel({ layers: [4, 3, 2] })
    expect(await security(bytes)).toEqual({
      isClean: true,
      text: `file           DIR/scanned.onnx
size           ${bytes.length} bytes
IR version     8
opsets         ai.onnx 17
operators of   ai.onnx
graph          3 nodes, 4 initializers
weights        92 bytes in the file
external data  none

findings
  none

clean: yes`,
    })
  })

  test('is of the file, not of what is edited in it', async () => {
    const model = graphOf({
      irVersion: 14,
      outputs: [value('label', 'string', ['N']), dictionaries('p', ['a'])],
      nodes: [scoring(['a']), zipMap('scores', 'p', ['a'])],
    })
    const { isClean, text } = await security(model, true)
    expect(isClean).toBe(true)
    expect(JSON.parse(text)).toMatchObject({ irVersion: 14, nodes: 2, domains: ['ai.onnx.ml'] })
  })

  test('of a model that can end its process by the values of a request, with operator and node', async () => {
    const bytes = writeModel({
      graph: {
        inputs: [value('x', 'int64', ['N']), value('d', 'int64', ['N'])],
        outputs: [value('y', 'int64', ['N'])],
        nodes: [node('Div', ['x', 'd'], ['y'], {}, { name: 'share' })],
      },
    })
    const { isClean, text } = await security(bytes, true)
    expect(isClean).toBe(false)
    expect(JSON.parse(text).findings).toEqual([
      {
        id: 'request-values',
        where: '',
        message: expect.stringMatching(/^operator Div \(node 'share'\) divides integers .*isolation/),
      },
    ])
  })

  test('of a model that reads somebody’s secrets, and would write on the terminal', async () => {
    const external = { location: '../\x1b[2Jsecret' }
    const bytes = writeModel({ graph: { initializers: [tensor('w\u202e', 'float', [2], undefined, { external })] } })
    const { text, isClean } = await security(bytes)
    expect(isClean).toBe(false)
    expect(text).not.toMatch(/[^\P{C}\n]/u)
    expect(text).toContain(
      'name-characters    graph.initializer[0]  the name of a tensor, "w\\u{202e}", holds control characters',
    )
    expect(text).toMatch(/\nclean: no, 2 findings$/)

    const json = await security(bytes, true)
    expect(json.text).not.toMatch(/[^\P{C}\n]/u)
    expect(JSON.parse(json.text)).toMatchObject({
      clean: false,
      findings: [
        { id: 'name-characters', where: 'graph.initializer[0]' },
        { id: 'external-location', where: 'graph.initializer[0]' },
      ],
      moreFindings: 0,
      domains: [],
      externalFiles: [{ location: '../\x1b[2Jsecret', bytes: null }],
    })
  })

  test.each([
    ['malformed', new TextEncoder().encode('<html>')],
    ['malformed', new Uint8Array(0)],
    ['ort-format', Uint8Array.from([0x1c, 0, 0, 0, ...Buffer.from('ORTM'), 0, 0, 0, 0])],
  ])('what is no ONNX model is a finding: %s', async (id, bytes) => {
    const { text, isClean } = await security(bytes, true)
    expect(isClean).toBe(false)
    expect(JSON.parse(text)).toMatchObject({ clean: false, findings: [{ id }], opsets: null, externalFiles: null })
  })

  test('exit codes', async () => {
    const cli = new URL('../../dist/cli.js', import.meta.url).pathname
    const clean = join(dir, 'clean.onnx')
    const bad = join(dir, 'bad.onnx')
    await writeFile(clean, models.addModel())
    await writeFile(bad, models.customOpModel())
    const exit = (...args: string[]) => spawnSync(process.execPath, [cli, 'inspect', ...args], { encoding: 'utf8' })
    expect(exit(clean, '--security').status).toBe(0)
    expect(exit(bad, '--security', '--json')).toMatchObject({ status: 1, stderr: '' })
    expect(exit(join(dir, 'gone.onnx'), '--security')).toMatchObject({ status: 1, stdout: '' })
    expect(exit('--security').status).toBe(2)
    expect(exit(clean, '--securely').status).toBe(2)
  })
})

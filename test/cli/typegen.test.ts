/** modelmount typegen: its output, when it writes, and when not. */

import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { collect } from '../../src/cli/typegen/collect.ts'
import { render } from '../../src/cli/typegen/render.ts'
import { createWatch } from '../../src/cli/typegen/watch.ts'
import { bf16Model, customOpModel, futureOpsetModel, int4OutputModel } from '../../tools/models.mjs'
import { attr, node, sequenceValue, untypedValue, value, writeModel } from '../../tools/onnx-writer.mjs'
import { dictionaries, graphOf, scoring, zipMap } from '../support/classifiers.ts'
import { serverFor } from '../support/server.ts'
import { createSimulatedClock } from '../support/simulated-clock.ts'
import { constantOf, plus } from '../support/small-models.ts'
import { plant, treeFor } from '../support/tree.ts'

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))

const add = writeModel({
  doc: 'adds',
  graph: {
    name: 'add',
    inputs: [value('b', 'float', ['N', 2]), value('a', 'int64', [null], { doc: 'first' })],
    outputs: [value('sum of', 'double')],
    nodes: [node('Add', ['a', 'b'], ['sum of'])],
  },
})

/** Starts the command; `line()` resolves with the next line of stdout. */
function start(args: readonly string[]) {
  const child = spawn(process.execPath, [cli, 'typegen', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let errors = ''
  let text = ''
  let wake = (): void => {}
  child.stderr.on('data', (chunk) => {
    errors += chunk
    wake()
  })
  child.stdout.on('data', (chunk) => {
    text += chunk
    wake()
  })
  const until = async (ready: () => boolean): Promise<void> => {
    while (!ready()) await new Promise<void>((resolve) => (wake = resolve))
  }
  return {
    child,
    ended: new Promise<{ code: number | null; text: string; errors: string }>((resolve) =>
      child.once('close', (code) => resolve({ code, text, errors })),
    ),
    async line(): Promise<string> {
      await until(() => text.includes('\n'))
      const [line = '', ...rest] = text.split('\n')
      text = rest.join('\n')
      return line
    },
    problem: () => until(() => errors.includes('\n')).then(() => errors),
  }
}

test('sorted, commented, with the shapes that requests see', async () => {
  const dir = treeFor({
    'zebra.onnx': constantOf(1),
    'add/1/model.onnx': add,
    'add/10/model.onnx': add,
    'add/model.json': '{"inputs":{"b":{"dims":[-1,1,2],"reshape":[-1,2]}}}',
    'bf.onnx': bf16Model(),
  })
  const text = render(await collect(dir))
  expect(text.slice(text.indexOf('declare'))).toBe(`declare module 'modelmount' {
  interface ModelTypes {
    /** Version 10; also served: 1. adds */
    add: {
      inputs: {
        /** tensor(float) [N, 1, 2] */
        b: TypedInput<'float32', [number, 1, 2]>
        /** tensor(int64) [?]: first */
        a: TypedInput<'int64', [number]>
      }
      outputs: {
        /** tensor(double) of any shape */
        'sum of': TypedTensor<'float64', number[]>
      }
    }
    /** Version 1. */
    zebra: {
      inputs: {}
      outputs: {
        /** tensor(float) [1] */
        y: TypedTensor<'float32', [1]>
      }
    }
    // bf is left out: ${text.split('bf is left out: ')[1]?.split('\n')[0]}
  }
}
`)
  expect(text).toContain('bfloat16')
  expect(render(await collect(dir))).toBe(text)
})

test('outputs that are edited, left out or not declared', async () => {
  const classifier = graphOf({
    outputs: [value('label', 'string', ['N']), dictionaries('p', ['a', 'b']), sequenceValue('s', 'float')],
    nodes: [scoring(['a', 'b']), zipMap('scores', 'p', ['a', 'b'])],
  })
  const open = writeModel({
    graph: {
      inputs: [],
      outputs: [untypedValue('known'), untypedValue('open')],
      nodes: [
        node('Constant', [], ['known'], { value_int: attr.int(1) }),
        node('Tokenizer', ['known'], ['open'], {}, { domain: 'com.microsoft' }),
      ],
    },
  })
  const text = render(await collect(treeFor({ 'c.onnx': classifier, 'o.onnx': open })))
  expect(text).toContain("import type { DType, TypedInput, TypedTensor } from 'modelmount'")
  expect(text.slice(text.indexOf('declare'))).toBe(`declare module 'modelmount' {
  interface ModelTypes {
    /** Version 1. */
    c: {
      inputs: {
        /** tensor(float) [N, 2] */
        x: TypedInput<'float32', [number, 2]>
      }
      outputs: {
        /** tensor(string) [N] */
        label: TypedTensor<'string', [number]>
        /** tensor(float) [?, 2] */
        p: TypedTensor<'float32', [number, 2]>
        // s is left out: it is seq(tensor(float)), which onnxruntime-node cannot carry: let it end with ConcatFromSequence, or give each tensor an output of its own
      }
    }
    /** Version 1. */
    o: {
      inputs: {}
      outputs: {
        /** tensor(int64) of any shape */
        known: TypedTensor<'int64', number[]>
        /** known once it is loaded, of any shape */
        open: TypedTensor<DType, number[]>
      }
    }
  }
}
`)
})

/** Where the server refuses it: an operator of an unknown library, a name that forges lines, weights from elsewhere. */
const refused: Readonly<Record<string, Uint8Array>> = {
  custom: customOpModel(),
  forging: writeModel({
    graph: {
      inputs: [value('x\nmodel@1: ready', 'float', ['N'])],
      outputs: [value('y', 'float', ['N'])],
      nodes: [node('Relu', ['x\nmodel@1: ready'], ['y'])],
    },
  }),
  future: futureOpsetModel(),
  int4: int4OutputModel(),
}

describe('what a server refuses is left out', () => {
  test.each(Object.entries(refused))('%s', async (name, source) => {
    const dir = treeFor({ 'a.onnx': constantOf(1), [`${name}.onnx`]: source })
    const server = await serverFor({ repository: dir })
    expect(server.model(name)).toMatchObject({ state: 'failed', reason: { code: 'MODEL_UNSUPPORTED' } })
    const collected = await collect(dir)
    expect(collected.models.map(({ name }) => name)).toEqual(['a'])
    expect(collected.skipped).toEqual([{ name, reason: server.model(name).reason?.message }])
    expect(render(collected)).toContain(`    // ${name} is left out: `)
  })

  test('a version at a time: typed is the one that requests get', async () => {
    const dir = treeFor({
      'm/1/model.onnx': constantOf(1),
      'm/2/model.onnx': plus(1),
      'm/3/model.onnx': customOpModel(),
    })
    const server = await serverFor({ repository: dir })
    expect(server.models().map(({ version, state }) => [version, state])).toEqual([
      ['1', 'ready'],
      ['2', 'ready'],
      ['3', 'failed'],
    ])
    const { models, skipped } = await collect(dir)
    expect(models).toMatchObject([
      { name: 'm', version: server.models().find(({ isDefault }) => isDefault)?.version, others: ['1'] },
    ])
    expect(skipped).toMatchObject([{ name: 'version 3 of m', reason: expect.stringContaining('custom operator') }])
  })

  test('a lower version that is broken is left out, too; requests get the one above it', async () => {
    const dir = treeFor({ 'm/1/model.onnx': 'no model', 'm/2/model.onnx': constantOf(2) })
    const { models, skipped } = await collect(dir)
    expect(models).toMatchObject([{ name: 'm', version: '2', others: [] }])
    expect(skipped).toMatchObject([{ name: 'version 1 of m', reason: expect.stringContaining('is not a valid ONNX model') }])
  })

  test('the command says so, and writes the rest', async () => {
    const dir = treeFor({ 'models/a.onnx': constantOf(1), 'models/custom.onnx': customOpModel() })
    const out = join(dir, 'models.d.ts')
    expect(await start([join(dir, 'models'), '-o', out]).ended).toEqual({
      code: 0,
      text: `${out}: 1 model\n`,
      errors: expect.stringMatching(/^modelmount: custom is left out: custom operator .*\n$/),
    })
    expect(readFileSync(out, 'utf8')).toContain('// custom is left out: custom operator')
  })
})

describe('the command', () => {
  test('writes once, leaves what is equal alone, and checks', async () => {
    const dir = treeFor({ 'models/a.onnx': constantOf(1) })
    const [models, out] = [join(dir, 'models'), join(dir, 'types/models.d.ts')]
    expect(await start([models, '-o', out, '--check']).ended).toMatchObject({
      code: 1,
      errors: expect.stringContaining('is not up to date'),
    })
    expect(existsSync(out)).toBe(false)
    expect(await start([models, '-o', out]).ended).toEqual({ code: 0, text: `${out}: 1 model\n`, errors: '' })
    const { mtimeMs } = statSync(out)
    expect(await start([models, '-o', out]).ended).toMatchObject({ code: 0, text: `${out}: 1 model, unchanged\n` })
    expect(statSync(out).mtimeMs).toBe(mtimeMs)
    expect(await start([models, '-o', out, '--check']).ended).toMatchObject({ code: 0 })
    expect(readdirSync(join(dir, 'types'))).toEqual(['models.d.ts'])
  })

  test('a broken model, or none at all, changes nothing', async () => {
    const dir = treeFor({ 'models/a.onnx': constantOf(1), 'models/b/1/model.onnx': 'no model', 'models.d.ts': 'before' })
    const out = join(dir, 'models.d.ts')
    expect(await start([join(dir, 'models'), '-o', out]).ended).toMatchObject({
      code: 1,
      errors: expect.stringMatching(/^modelmount: b: model file .* is not a valid ONNX model.*\(MODEL_INVALID\)\n$/),
    })
    expect(await start([join(dir, 'none'), '-o', out]).ended).toMatchObject({
      code: 1,
      errors: expect.stringContaining('OPTIONS_INVALID'),
    })
    expect(readFileSync(out, 'utf8')).toBe('before')
  })

  test.each([
    [[], 'typegen takes one DIR'],
    [['a', 'b'], 'typegen takes one DIR'],
    [['a', '-o', 'types.json'], "--out must be a .ts file, got 'types.json'"],
    [['a', '--check', '--watch'], 'do not go together'],
  ])('%j is wrong use', async (args, sentence) => {
    expect(await start(args).ended).toMatchObject({ code: 2, errors: expect.stringContaining(sentence) })
  })

  test('--watch follows the models until it is told to end', async () => {
    const dir = treeFor({ 'models/a.onnx': constantOf(1) })
    const [models, out] = [join(dir, 'models'), join(dir, 'models.d.ts')]
    const { child, line, problem, ended } = start([models, '-o', out, '--watch'])
    expect(await line()).toBe(`${out}: 1 model`)
    plant(models, { 'b/1/model.onnx': add })
    expect(await line()).toBe(`${out}: 2 models`)
    expect(readFileSync(out, 'utf8')).toContain("'sum of'")
    // Half a file, as while it is copied.
    writeFileSync(join(models, 'a.onnx'), add.subarray(0, 20))
    expect(await problem()).toContain('MODEL_INVALID')
    expect(readFileSync(out, 'utf8')).toContain('tensor(float) [1]')
    writeFileSync(join(models, 'a.onnx'), add)
    expect(await line()).toBe(`${out}: 2 models`)
    child.kill('SIGTERM')
    expect(await ended).toMatchObject({ code: 0 })
  })
})

describe('watching', () => {
  test('many changes are one, changes while it works are one more, and it ends when told', async () => {
    const clock = createSimulatedClock()
    const works: (() => void)[] = []
    const watch = createWatch(clock, () => new Promise((resolve) => works.push(resolve)))
    watch.changed()
    await clock.letPass(150)
    watch.changed()
    await clock.letPass(150)
    expect(works).toHaveLength(0)
    await clock.letPass(100)
    expect(works).toHaveLength(1)
    watch.changed()
    watch.changed()
    await clock.letPass(1000)
    expect(works).toHaveLength(1)
    works[0]?.()
    await clock.letPass(1000)
    expect(works).toHaveLength(2)
    let closed = false
    watch.changed()
    const closing = watch.close().then(() => {
      closed = true
    })
    await clock.letPass(1000)
    expect([works.length, closed]).toEqual([2, false])
    works[1]?.()
    await closing
    watch.changed()
    await clock.letPass(1000)
    expect(works).toHaveLength(2)
  })
})

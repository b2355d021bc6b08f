/** Each sentence of docs/numbers.md, asked of the ONNX Runtime that is installed. */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { ModelSpec, Tensor } from 'modelmount'
import { describe, expect, test } from 'vitest'
import { attr, type ElemTypeName, node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'
import { needs, TWO_CPUS } from '../support/needs.ts'
import { serverFor } from '../support/server.ts'

const X64 = needs('an x64 processor', process.arch === 'x64')

const serve = (source: Uint8Array, settings: Partial<ModelSpec> = {}) =>
  serverFor({ strict: true, models: [{ name: 'm', source, batching: false, ...settings }] })

const rows = (count: number, width: number, of: (i: number) => number): Tensor => ({
  type: 'float32',
  dims: [count, width],
  data: Float32Array.from({ length: count * width }, (_, i) => of(i)),
})

test('the page names the version that is asked', () => {
  const at = (path: string): string => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8')
  const { version } = JSON.parse(at('node_modules/onnxruntime-node/package.json')) as { version: string }
  expect(at('docs/numbers.md')).toContain(`onnxruntime-node ${version}`)
})

describe('random operators without a seed', () => {
  const draws = async (op: string, isolation: 'thread' | 'process') => {
    const random = writeModel({
      graph: { outputs: [value('y', 'float', [4])], nodes: [node(op, [], ['y'], { shape: attr.ints([4]) })] },
    })
    const server = await serve(random, { instances: 2, balance: 'round-robin', isolation })
    const drawn: string[] = []
    for (let i = 0; i < 4; i++) drawn.push(String((await server.predict('m', {})).outputs.y?.data))
    return drawn
  }

  test.each(['RandomNormal', 'RandomUniform'])('%s draws the same numbers in two instances in threads', async (op) => {
    const [a, b, c, d] = await draws(op, 'thread')
    expect([b, d]).toEqual([a, c])
    expect(c).not.toBe(a)
  })

  test.each(['RandomNormal', 'RandomUniform'])('%s draws others in each process', async (op) => {
    expect(new Set(await draws(op, 'process')).size).toBe(4)
  })
})

describe('tree ensembles', () => {
  const TREES = 200
  const NODES = TREES * 3
  /** 200 stumps: x[i % 4] <= threshold ? one leaf : the other. */
  const of = (i: number): number => Math.sin(i * 12.9898) * 43758.5453 - Math.floor(Math.sin(i * 12.9898) * 43758.5453)
  const each = <T>(make: (tree: number, at: number) => T): T[] =>
    Array.from({ length: NODES }, (_, i) => make(Math.floor(i / 3), i % 3))
  const leaves = each((tree, at) => (at === 0 ? undefined : { tree, at, weight: of(tree * 2 + at) })).filter(
    (leaf) => leaf !== undefined,
  )
  const forest = writeModel({
    opsets: { '': 17, 'ai.onnx.ml': 3 },
    graph: {
      inputs: [value('x', 'float', ['N', 4])],
      outputs: [value('y', 'float', ['N', 1])],
      nodes: [
        node(
          'TreeEnsembleRegressor',
          ['x'],
          ['y'],
          {
            n_targets: attr.int(1),
            nodes_treeids: attr.ints(each((tree) => tree)),
            nodes_nodeids: attr.ints(each((_, at) => at)),
            nodes_featureids: attr.ints(each((tree) => tree % 4)),
            nodes_values: attr.floats(each((tree) => of(tree))),
            nodes_modes: attr.strings(each((_, at) => (at === 0 ? 'BRANCH_LEQ' : 'LEAF'))),
            nodes_truenodeids: attr.ints(each((_, at) => (at === 0 ? 1 : 0))),
            nodes_falsenodeids: attr.ints(each((_, at) => (at === 0 ? 2 : 0))),
            target_treeids: attr.ints(leaves.map(({ tree }) => tree)),
            target_nodeids: attr.ints(leaves.map(({ at }) => at)),
            target_ids: attr.ints(leaves.map(() => 0)),
            target_weights: attr.floats(leaves.map(({ weight }) => weight)),
          },
          { domain: 'ai.onnx.ml' },
        ),
      ],
    },
  })
  const x = rows(100, 4, (i) => of(i + 7))
  const alone = (i: number) => rows(1, 4, (j) => x.data[i * 4 + j] as number)
  const answers = async (threads: number) => {
    const server = await serve(forest, { session: { intraOpNumThreads: threads } })
    const ask = async (x: Tensor): Promise<number[]> =>
      Array.from((await server.predict('m', { x })).outputs.y?.data ?? [], Number)
    const together = await ask(x)
    const single: number[] = []
    for (let i = 0; i < 100; i++) single.push(...(await ask(alone(i))))
    return { together, single }
  }
  const differing = (a: readonly number[], b: readonly number[]): number => a.filter((value, i) => value !== b[i]).length
  const most = (a: readonly number[], b: readonly number[]): number =>
    Math.max(...a.map((value, i) => Math.abs(value - (b[i] ?? 0)) / Math.abs(value)))

  test('answer a row alone alike, and in a batch on several threads otherwise in its last bits', TWO_CPUS, async () => {
    const [one, two] = [await answers(1), await answers(2)]
    expect(differing(one.together, one.single)).toBe(0)
    expect(differing(two.single, one.single)).toBe(0)
    expect(differing(two.together, one.together)).toBeGreaterThan(50)
    expect(most(one.together, two.together)).toBeLessThan(1e-5)
  })
})

describe('Cast', X64, () => {
  const cast = async (type: ElemTypeName, to: number, x: number) => {
    const source = writeModel({
      graph: {
        inputs: [value('x', 'float', [1])],
        outputs: [value('y', type, [1])],
        nodes: [node('Cast', ['x'], ['y'], { to: attr.int(to) })],
      },
    })
    const server = await serve(source)
    return Number((await server.predict('m', { x: Float32Array.of(x) })).outputs.y?.data[0])
  }

  test.each<[ElemTypeName, number, number, number]>([
    ['uint8', 2, 300, 44],
    ['uint8', 2, -1, 255],
    ['int8', 3, 300, 44],
    ['int32', 6, 3e9, -(2 ** 31)],
    ['int32', 6, Number.NaN, -(2 ** 31)],
    ['int64', 7, Number.NaN, -(2 ** 63)],
    ['uint8', 2, Number.NaN, 0],
    ['bool', 9, Number.NaN, 1],
    ['bool', 9, 0.5, 1],
  ])('to %s (%i) of %f is %f', async (type, to, x, y) => {
    expect(await cast(type, to, x)).toBe(y)
  })
})

describe('not-a-number', () => {
  const reduced = async (op: string, x: readonly number[]): Promise<number> => {
    const isArg = op.startsWith('Arg')
    const source = writeModel({
      opset: 18,
      graph: {
        inputs: [value('x', 'float', [1, x.length])],
        outputs: [value('y', isArg ? 'int64' : 'float')],
        nodes: [
          node(
            op,
            isArg ? ['x'] : ['x', 'axis'],
            ['y'],
            isArg ? { axis: attr.int(1), keepdims: attr.int(0) } : { keepdims: attr.int(0) },
          ),
        ],
        initializers: isArg ? [] : [tensor('axis', 'int64', [1], [1n])],
      },
    })
    const server = await serve(source)
    return Number((await server.predict('m', { x: [[...x]] })).outputs.y?.data[0])
  }

  test.each(['ReduceMax', 'ReduceMin', 'ArgMax', 'ArgMin'])('%s tells of it in the first place only', async (op) => {
    expect(await reduced(op, [Number.NaN, 1, 2, 3])).toBe(op.startsWith('Arg') ? 0 : Number.NaN)
    for (const x of [
      [3, 2, 1, Number.NaN],
      [1, 2, Number.NaN, 3],
      [4, 3, Number.NaN, 1],
    ]) {
      const known = x.filter((value) => !Number.isNaN(value))
      const best = op.endsWith('Max') ? Math.max(...known) : Math.min(...known)
      expect(await reduced(op, x)).toBe(op.startsWith('Arg') ? x.indexOf(best) : best)
    }
  })

  test.each([
    ['ReduceMax', [1, Number.NaN, 2, 3], 2, 3],
    ['ReduceMin', [3, Number.NaN, 2, 1], 2, 1],
  ] as const)('%s may miss the right number behind it', X64, async (op, x, wrong, right) => {
    // Which of them depends on where the numbers lie in memory.
    expect([wrong, right]).toContain(await reduced(op, x))
  })

  test.each(['ReduceSum', 'ReduceMean'])('%s sees it anywhere', async (op) => {
    for (const x of [
      [Number.NaN, 1, 2],
      [1, Number.NaN, 2],
      [1, 2, Number.NaN],
    ])
      expect(await reduced(op, x)).toBeNaN()
  })
})

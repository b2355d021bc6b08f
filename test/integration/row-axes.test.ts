/** The name of a dimension shows where rows are; the declared shape of an output decides nothing. */

import { describe, expect, test } from 'vitest'
import { FIXED_COST } from '../../tools/models.mjs'
import { attr, type DimSpec, node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'
import { provedServerFor } from '../support/server.ts'

const load = (source: Uint8Array) => provedServerFor({ strict: true, models: [{ name: 'm', source, isolation: 'thread' }] })

/** Whole numbers as a classifier's labels: x float32 [N, 4] -> label int64 declared as `dims`. @param nodes x -> found [N], or something else */
const labelled = (
  dims: DimSpec[] | undefined,
  nodes = [node('ArgMax', ['x'], ['found'], { axis: attr.int(1), keepdims: attr.int(0) })],
): Uint8Array =>
  writeModel({
    graph: {
      inputs: [value('x', 'float', ['N', 4])],
      outputs: [value('label', 'int64', dims)],
      nodes: [
        ...FIXED_COST.nodes,
        ...nodes,
        node('Cast', ['zero'], ['nothing'], { to: attr.int(7) }),
        node('Add', ['found', 'nothing'], ['label']),
      ],
      initializers: [...FIXED_COST.initializers, tensor('top', 'int64', [1], [0n])],
    },
  })

describe('an output of one label a row', () => {
  // Costs are measured, which a busy machine may spoil once.
  test.each([
    ['[1], as LightGBM’s converter writes it', [1]],
    ['[3], which is as many rows as a trial has', [3]],
    ['a scalar', []],
    ['nothing', undefined],
    ['another name than its inputs', ['M']],
  ] as const)('declared as %s shares runs, and each caller gets his own', { retry: 2 }, async (_, dims) => {
    const server = await load(labelled(dims as DimSpec[] | undefined))
    expect(server.model('m').batching).toMatchObject({ enabled: true })
    const rows = Array.from({ length: 8 }, (_, i) => [0, 1, 2, 3].map((j) => (j === i % 4 ? 1 : 0)))
    const answers = await Promise.all(rows.map((row) => server.predict('m', { x: [row] })))
    expect(Math.max(...answers.map(({ batchSize }) => batchSize))).toBeGreaterThan(1)
    expect(answers.map(({ outputs }) => outputs.label)).toEqual(
      rows.map((_, i) => ({ type: 'int64', dims: [1], data: BigInt64Array.of(BigInt(i % 4)) })),
    )
  })

  const whole = (axis: number) => node('ReduceMax', ['x'], ['max'], { axes: attr.ints([axis]), keepdims: attr.int(0) })
  test.each([
    [
      'that is one for the whole run',
      [1],
      [
        node('ArgMax', ['x'], ['of', 'each'].slice(0, 1), { axis: attr.int(1), keepdims: attr.int(0) }),
        node('ReduceMax', ['of'], ['found'], { axes: attr.ints([0]), keepdims: attr.int(1) }),
      ],
    ],
    [
      'of each column, which are as many as rows of some runs',
      [4],
      [whole(0), node('Cast', ['max'], ['found'], { to: attr.int(7) })],
    ],
    ['that is the same for any input', [3], [node('Constant', [], ['found'], { value_ints: attr.ints([7, 8, 9]) })]],
    ['that is a scalar', [], [node('Size', ['x'], ['found'])]],
  ])('%s does not', async (_, dims, nodes) => {
    const { enabled, reason } = (await load(labelled(dims, nodes))).model('m').batching
    expect(reason).toMatch(/do not have as many rows|changes when other rows run beside it|works across the rows/)
    expect(enabled).toBe(false)
  })
})

/** y = x + its own state of two layers; the state moves on by x. */
const recurrent = (x: DimSpec[], state: DimSpec[], out: DimSpec[], rate?: DimSpec[]): Uint8Array =>
  writeModel({
    graph: {
      inputs: [value('x', 'float', x), value('h', 'float', state), ...(rate ? [value('rate', 'int64', rate)] : [])],
      outputs: [value('y', 'float', x), value('hn', 'float', out)],
      nodes: [
        ...FIXED_COST.nodes,
        ...(rate
          ? [node('Cast', ['rate'], ['factor'], { to: attr.int(1) }), node('Mul', ['x', 'factor'], ['fast'])]
          : [node('Identity', ['x'], ['fast'])]),
        node('Unsqueeze', ['fast', 'first'], ['layer']),
        node('Add', ['h', 'layer'], ['moved']),
        node('Add', ['moved', 'zero'], ['hn']),
        node('ReduceSum', ['hn', 'first'], ['y'], { keepdims: attr.int(0) }),
      ],
      initializers: [...FIXED_COST.initializers, tensor('first', 'int64', [1], [0n])],
    },
  })

describe('state with its rows second', () => {
  test.each([
    ['the same name in all', ['batch', 3], [2, 'batch', 3], [2, 'batch', 3]],
    ['a name that says nothing', ['s77', 3], [2, 's77', 3], [2, 's77', 3]],
    ['other open dimensions besides', ['batch', 'width'], [2, 'batch', 'width'], [2, 'batch', 'width']],
  ] as const)('is found by %s', { retry: 2 }, async (_, x, state, out) => {
    const server = await load(recurrent([...x], [...state], [...out]))
    expect(server.model('m').batching).toMatchObject({ enabled: true })
    const ask = (i: number) => server.predict('m', { x: [[i, i, i]], h: [[[1, 2, 3]], [[10, 20, 30]]] })
    const answers = await Promise.all([1, 2, 3, 4, 5].map(ask))
    expect(Math.max(...answers.map(({ batchSize }) => batchSize))).toBeGreaterThan(1)
    for (const [at, { outputs }] of answers.entries()) {
      const i = at + 1
      expect(outputs.hn).toEqual({
        type: 'float32',
        dims: [2, 1, 3],
        data: Float32Array.of(1 + i, 2 + i, 3 + i, 10 + i, 20 + i, 30 + i),
      })
      expect(outputs.y).toEqual({ type: 'float32', dims: [1, 3], data: Float32Array.of(11 + 2 * i, 22 + 2 * i, 33 + 2 * i) })
    }
  })

  test('a scalar beside it is shared by those who agree on it', { retry: 2 }, async () => {
    const server = await load(recurrent(['batch', 3], [2, 'batch', 3], [2, 'batch', 3], []))
    expect(server.model('m').batching).toMatchObject({ enabled: true })
    const ask = (rate: number) => server.predict('m', { x: [[1, 1, 1]], h: [[[0, 0, 0]], [[0, 0, 0]]], rate })
    const answers = await Promise.all([2, 3, 2, 3, 2, 3].map(ask))
    expect(answers.map(({ outputs }) => outputs.y?.data[0])).toEqual([4, 6, 4, 6, 4, 6])
    expect(Math.max(...answers.map(({ batchSize }) => batchSize))).toBeLessThanOrEqual(3)
  })

  test('a scalar of zero is not shared with one of minus zero', { retry: 2 }, async () => {
    const source = writeModel({
      graph: {
        inputs: [value('x', 'float', ['N', 2]), value('by', 'float', [])],
        outputs: [value('y', 'float', ['N', 2])],
        nodes: [...FIXED_COST.nodes, node('Div', ['x', 'by'], ['most']), node('Add', ['most', 'zero'], ['y'])],
        initializers: FIXED_COST.initializers,
      },
    })
    const server = await load(source)
    expect(server.model('m').batching).toMatchObject({ enabled: true })
    const answers = await Promise.all([0, -0, 0, -0].map((by) => server.predict('m', { x: [[1, 1]], by })))
    expect(Math.max(...answers.map(({ batchSize }) => batchSize))).toBeGreaterThan(1)
    expect(answers.map(({ outputs }) => outputs.y?.data[0])).toEqual([1, -1, 1, -1].map((sign) => sign / 0))
  })

  test('without a name it is not guessed', async () => {
    const server = await load(recurrent(['batch', 3], [2, null, 3], [2, null, 3]))
    expect(server.model('m').batching).toMatchObject({ enabled: false, reason: "the first dimension of 'h' is fixed at 2" })
  })
})

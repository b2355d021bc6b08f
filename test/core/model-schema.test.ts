/** model.schema.json says what options.ts checks: the same keys at every level, the same examples taken and refused. */

import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import { describe, expect, test } from 'vitest'
import { checkModelFile } from '../../src/core/registry/model-json.ts'

const schema = JSON.parse(readFileSync(new URL('../../model.schema.json', import.meta.url), 'utf8'))
const validate = new Ajv({ strict: true, strictTypes: false, allErrors: true }).compile(schema)

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: boolean | Schema
  readonly oneOf?: readonly Schema[]
  readonly items?: Schema
}

/** Each object of the schema that has keys of its own, and how to get there. */
function* objectsOf(
  schema: Schema,
  wrap: (inner: unknown) => unknown,
  path: string,
): Generator<[string, readonly string[], (inner: unknown) => unknown]> {
  if (schema.properties && schema.additionalProperties === false)
    yield [path || 'model.json', Object.keys(schema.properties), wrap]
  for (const [key, inner] of Object.entries(schema.properties ?? {}))
    yield* objectsOf(inner, (value) => wrap({ [key]: value }), `${path}/${key}`)
  if (typeof schema.additionalProperties === 'object')
    yield* objectsOf(schema.additionalProperties, (value) => wrap({ name: value }), `${path}/*`)
  for (const inner of schema.oneOf ?? []) yield* objectsOf(inner, wrap, path)
  if (schema.items) yield* objectsOf(schema.items, (value) => wrap([value]), `${path}[]`)
}

/** The keys that options.ts lists as known when it meets an unknown one. */
function knownKeys(wrap: (inner: unknown) => unknown, like: readonly string[]): string[] {
  // A key of this object chooses the alternative where there are several.
  const first = like.includes('specific') ? { specific: ['1'] } : {}
  const [problem = ''] = checkModelFile(wrap({ ...first, 'no such key': 1 })).filter((line) =>
    line.includes('no such key is not an option'),
  )
  return /known are (.*)$/.exec(problem)?.[1]?.split(', ') ?? []
}

const objects = [...objectsOf(schema, (inner) => inner, '')]

test('the schema is walked', () => {
  expect(objects.map(([path]) => path)).toEqual(
    expect.arrayContaining(['model.json', '/session', '/batching', '/batching/ragged', '/inputs/*', '/executionProviders[]']),
  )
})

test.each(objects)('%s has the same keys', (_, keys, wrap) => {
  expect([...keys].sort()).toEqual(knownKeys(wrap, keys).sort())
})

/** By key: values that are taken, and values that are refused. */
const EXAMPLES: Readonly<Record<string, readonly [readonly unknown[], readonly unknown[]]>> = {
  $schema: [
    ['x', ''],
    [1, null],
  ],
  versionPolicy: [
    ['all', { latest: 1 }, { specific: ['1', 'v2'] }],
    ['none', {}, { latest: 0 }, { specific: [] }, { specific: [1] }, { latest: 1, specific: ['1'] }, []],
  ],
  file: [
    ['m.onnx', '..x', 'a b'],
    ['', '.', '..', 'a/b', 'a\\b', 'a\0b', 'x'.repeat(256), 3],
  ],
  isolation: [
    ['thread', 'process'],
    ['none', true],
  ],
  instances: [
    [1, 256, { min: 0, max: 4 }],
    [0, 257, 1.5, '2', { min: 1 }, { min: 0, max: 0 }, { min: 0, max: 2, step: 1 }],
  ],
  sharedWorker: [
    ['auto', false],
    [true, 'never', 1],
  ],
  shareWeights: [
    [true, false, 'auto'],
    ['never', 1],
  ],
  scaling: [
    [{}, { targetDelayMs: 0.5, idleMs: 10 }],
    [{ targetDelayMs: 0 }, { idle: 1 }, 1],
  ],
  balance: [['fastest', 'two-choices'], ['random']],
  idleUnloadMs: [
    [0.1, 1e9],
    [0, -1, '5', null],
  ],
  prefetch: [
    [true, false],
    [1, 'yes'],
  ],
  niceness: [
    [0, 19],
    [-1, 20, 1.5],
  ],
  executionProviders: [
    [['cpu'], [{ name: 'cuda', deviceId: 1 }, 'cpu']],
    [[], 'cpu', ['gpu'], [{ deviceId: 1 }], [{ name: 'cuda', deviceId: -1 }], [{ name: 'cuda', id: 1 }]],
  ],
  strictProviders: [[true], ['yes', 0]],
  session: [
    [{}, { intraOpNumThreads: 1, graphOptimizationLevel: 'all', executionMode: 'parallel', allowSpinning: true }],
    [{ intraOpNumThreads: 0 }, { graphOptimizationLevel: 'some' }, { enableMemPattern: 1 }, { logLevel: 1 }, []],
  ],
  batching: [
    [
      false,
      {},
      { maxSize: 8, maxRunMs: 1, maxElements: 10, maxDelayMs: 0, mixTenants: true, axes: { x: 1, r: 'shared' } },
      { ragged: { mask: 'm', padValue: { a: -1 }, axes: { a: 1 } }, independentRows: true },
    ],
    [
      true,
      { maxSize: 0 },
      { maxSize: 1025 },
      { maxDelayMs: -1 },
      { maxDelayMs: 10_001 },
      { axes: { x: -1 } },
      { axes: { x: 'rows' } },
      { ragged: {} },
      { ragged: { mask: '' } },
      { ragged: { mask: 'm', maxWaste: 1 } },
      { size: 1 },
    ],
  ],
  cache: [
    [false, { maxBytes: 4096 }, { maxBytes: 5000, ttlMs: 1 }],
    [true, {}, { maxBytes: 1 }, { maxBytes: 5000, ttlMs: 0.5 }, { maxBytes: 5000, store: {} }],
  ],
  timeoutMs: [[1], [0]],
  maxTimeoutMs: [[1], [0]],
  warmup: [
    [[{}], [{ x: [[1]] }]],
    [[], {}, [1], [[]]],
  ],
  proof: [
    ['background', 'before-ready'],
    ['never', true],
  ],
  proofCache: [[true, false], ['yes']],
  loadTimeoutMs: [[1], [-1]],
  maxQueue: [
    [1, 10_000_000],
    [0, 10_000_001, 1.5],
  ],
  maxQueueBytes: [[1], [0]],
  maxQueuePerTenant: [[1], [0]],
  maxMemoryBytes: [[2 ** 20], [2 ** 20 - 1]],
  maxElements: [
    [1, 2 ** 40],
    [0, 2 ** 40 + 1],
  ],
  allowOrtFormat: [[true], [1]],
  priority: [
    ['high', 'normal', 'low'],
    ['urgent', 1],
  ],
  maxBatch: [
    [1, 2 ** 32 - 1],
    [0, 2 ** 32],
  ],
  inline: [['auto', false], [true]],
  leanPath: [[true, false], [1]],
  maxWaitMs: [[0.5], [0]],
  inputs: [
    [{}, { x: {} }, { x: { type: 'float32', dims: [-1, 4], reshape: [4, -1], optional: true } }, { x: { dims: [] } }],
    [
      [],
      { x: 1 },
      { x: { type: 'fp32' } },
      { x: { dims: [-2] } },
      { x: { dims: 4 } },
      { x: { reshape: [1] } },
      { x: { dims: Array(33).fill(1) } },
      { x: { shape: [1] } },
    ],
  ],
  outputs: [[{ y: { dims: [2] } }], [{ y: { optional: true } }, { y: { dims: [0.5] } }]],
  sequences: [
    [
      { state: { s: 'next' } },
      {
        state: { s: { output: 'next', returned: true, dims: [-1, 4], initial: [1, 2] }, t: { output: 'u', initial: 0.5 } },
        controls: { a: 'start', b: { is: 'end', values: [0, 2] } },
        idleTimeoutMs: 0.5,
        maxSequences: 1,
        maxPerTenant: 1,
        maxBytes: 1,
      },
      { idleTimeoutMs: 1000 },
    ],
    [
      { idleTimeoutMs: 0 },
      { state: { s: '' } },
      { state: { s: { returned: true } } },
      { state: { s: { output: 'next', initial: [] } } },
      { state: { s: { output: 'next', dims: [-2] } } },
      { controls: { a: 'corrid' } },
      { controls: { a: { is: 'start', values: [0] } } },
      { maxSequences: 0 },
      true,
    ],
  ],
  labels: [
    [{}, { y: ['a', ''] }, { y: 'words.txt' }],
    [{ y: [] }, { y: [1] }, { y: 1 }, ['a']],
  ],
  versionLabels: [
    [{}, { stable: '3', 'canary.eu': 'v4' }],
    [{ stable: 3 }, { stable: '' }, { 'a/b': '3' }, { '': '3' }, ['3'], 'stable'],
  ],
  metadata: [
    [{}, { team: 'risk' }],
    [{ team: 1 }, 'x'],
  ],
}

describe('examples', () => {
  test('there are some for every key', () => {
    expect(Object.keys(EXAMPLES).sort()).toEqual(Object.keys(schema.properties).sort())
  })

  const cases = Object.entries(EXAMPLES).flatMap(([key, [good, bad]]) => [
    ...good.map((value) => [key, value, true] as const),
    ...bad.map((value) => [key, value, false] as const),
  ])

  test.each(cases)('%s: %j -> %s', (key, value, isGood) => {
    const file = { [key]: value }
    expect({ schema: validate(file), options: checkModelFile(file).length === 0 }).toEqual({ schema: isGood, options: isGood })
  })

  test.each([[[]], [null], ['x'], [{ speed: 1 }], [{ name: 'x' }], [{ source: 'x' }]])(
    '%j as a whole is refused by both',
    (file) => {
      expect(validate(file)).toBe(false)
      expect(checkModelFile(file)).not.toEqual([])
    },
  )
})

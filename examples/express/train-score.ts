/**
 * Trains the tabular model of this example and writes score.onnx and score.json beside itself: `npx tsx examples/express/train-score.ts`.
 * Task: tell the species of a penguin by four measurements (342 penguins of the Palmer Archipelago, CC0, shipped by
 * @observablehq/sample-datasets). Multinomial logistic regression by full-batch gradient descent; same data, same bytes.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { node, tensor, value, writeModel } from '../../tools/onnx-writer.mjs'
import type { ScoreCard } from './score.ts'

// ONNX Runtime reports its use to its makers unless told otherwise before the first session.
process.env.ORT_DISABLE_TELEMETRY ??= '1'

interface Row {
  readonly x: readonly number[]
  readonly y: number
}

const FEATURES = [
  { name: 'culmen_length_mm', label: 'Beak length', unit: 'mm', step: 0.1 },
  { name: 'culmen_depth_mm', label: 'Beak depth', unit: 'mm', step: 0.1 },
  { name: 'flipper_length_mm', label: 'Flipper length', unit: 'mm', step: 1 },
  { name: 'body_mass_g', label: 'Body mass', unit: 'g', step: 25 },
]
const CLASSES = ['Adelie', 'Chinstrap', 'Gentoo']
const SEED = 2024
const TEST_SHARE = 0.3
const EPOCHS = 2000
const LEARNING_RATE = 0.5
/** Keeps the weights of well separated classes from growing for ever, and the probabilities from being overconfident. */
const L2 = 1e-3

const { train, test } = split(shuffle(readRows(), SEED))
const { mean, deviation } = moments(train)
const { weights, bias } = regress(train)

const model = writeModel({
  doc: 'Penguin species by four measurements',
  graph: {
    name: 'penguins',
    inputs: [value('features', 'float', ['batch', FEATURES.length], { doc: FEATURES.map(({ name }) => name).join(', ') })],
    outputs: [value('probabilities', 'float', ['batch', CLASSES.length], { doc: CLASSES.join(', ') })],
    // Standardising belongs into the graph: a client that forgets it would get wrong answers that look right.
    nodes: [
      node('Sub', ['features', 'mean'], ['centred']),
      node('Div', ['centred', 'deviation'], ['standardised']),
      node('Gemm', ['standardised', 'weights', 'bias'], ['logits']),
      node('Softmax', ['logits'], ['probabilities']),
    ],
    initializers: [
      tensor('mean', 'float', [FEATURES.length], Float32Array.from(mean)),
      tensor('deviation', 'float', [FEATURES.length], Float32Array.from(deviation)),
      tensor('weights', 'float', [FEATURES.length, CLASSES.length], Float32Array.from(weights.flat())),
      tensor('bias', 'float', [CLASSES.length], Float32Array.from(bias)),
    ],
  },
})
writeFileSync(new URL('score.onnx', import.meta.url), model)

const session = await InferenceSession.create(model)
const predicted = await Promise.all(test.map(({ x }) => predict(x)))
const usual = majorityClass(train)
const card: ScoreCard = {
  task: 'Penguin species by four measurements',
  features: FEATURES.map((feature, i) => {
    const column = [...train, ...test].map(({ x }) => at(x, i))
    return { ...feature, min: Math.min(...column), max: Math.max(...column), mean: round(at(mean, i), 1) }
  }),
  classes: CLASSES,
  // Measured with the file that is served, not with the arithmetic above.
  test: {
    rows: test.length,
    accuracy: share(test, ({ y }, i) => predicted[i] === y),
    majorityBaseline: share(test, ({ y }) => y === usual),
  },
}
// Lists of strings on one line, as the repository's formatter wants them.
const json = JSON.stringify(card, null, 2).replace(/\[[^[\]{}]*\]/g, (list) =>
  JSON.stringify(JSON.parse(list)).replaceAll(',', ', '),
)
writeFileSync(new URL('score.json', import.meta.url), `${json}\n`)
console.log(`trained on ${train.length} rows; on ${test.length} held-out rows: accuracy ${card.test.accuracy}`)
console.log(`always answering the most frequent class: ${card.test.majorityBaseline}`)

function readRows(): Row[] {
  const file = createRequire(import.meta.url).resolve('@observablehq/sample-datasets/penguins.csv')
  const [header = '', ...lines] = readFileSync(file, 'utf8').trim().split('\n')
  const columns = header.split(',')
  return lines
    .map((line) => line.split(','))
    .map((cells) => ({
      x: FEATURES.map(({ name }) => Number(cells[columns.indexOf(name)])),
      y: CLASSES.indexOf(cells[columns.indexOf('species')] ?? ''),
    }))
    .filter(({ x, y }) => y >= 0 && x.every(Number.isFinite)) // two penguins were never measured
}

/** Fisher-Yates with the mulberry32 generator. */
function shuffle(rows: readonly Row[], seed: number): Row[] {
  const shuffled = [...rows]
  let state = seed
  for (let i = shuffled.length - 1; i > 0; i--) {
    state = (state + 0x6d2b79f5) | 0
    let z = Math.imul(state ^ (state >>> 15), state | 1)
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61)
    const j = ((z ^ (z >>> 14)) >>> 0) % (i + 1)
    const [a, b] = [shuffled[i], shuffled[j]]
    if (a && b) [shuffled[i], shuffled[j]] = [b, a]
  }
  return shuffled
}

/** The same share of every class goes to the test set. */
function split(rows: readonly Row[]): { train: Row[]; test: Row[] } {
  const byClass = CLASSES.map((_, y) => rows.filter((row) => row.y === y))
  const cut = (all: readonly Row[]) => Math.round(all.length * TEST_SHARE)
  return { test: byClass.flatMap((all) => all.slice(0, cut(all))), train: byClass.flatMap((all) => all.slice(cut(all))) }
}

function moments(rows: readonly Row[]): { mean: number[]; deviation: number[] } {
  const mean = FEATURES.map((_, i) => rows.reduce((sum, { x }) => sum + at(x, i), 0) / rows.length)
  const deviation = FEATURES.map((_, i) =>
    Math.sqrt(rows.reduce((sum, { x }) => sum + (at(x, i) - at(mean, i)) ** 2, 0) / rows.length),
  )
  return { mean, deviation }
}

/** The problem is convex, so zeros are as good a start as any and nothing depends on luck. */
function regress(rows: readonly Row[]): { weights: number[][]; bias: number[] } {
  let weights = FEATURES.map(() => CLASSES.map(() => 0))
  let bias = CLASSES.map(() => 0)
  const samples = rows.map(({ x, y }) => ({ z: standardise(x), y }))
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    const errors = samples.map(({ z, y }) => softmax(logits(z, weights, bias)).map((p, k) => p - (k === y ? 1 : 0)))
    const gradient = (k: number, of: (sample: number) => number) =>
      errors.reduce((sum, error, sample) => sum + at(error, k) * of(sample), 0) / samples.length
    weights = weights.map((row, i) =>
      row.map((w, k) => w - LEARNING_RATE * (gradient(k, (sample) => at(samples[sample]?.z ?? [], i)) + L2 * w)),
    )
    bias = bias.map((b, k) => b - LEARNING_RATE * gradient(k, () => 1))
  }
  return { weights, bias }
}

async function predict(x: readonly number[]): Promise<number> {
  const { probabilities } = await session.run({ features: new Tensor('float32', Float32Array.from(x), [1, x.length]) })
  const values = Array.from(probabilities?.data ?? [], Number)
  return values.indexOf(Math.max(...values))
}

function majorityClass(rows: readonly Row[]): number {
  const counts = CLASSES.map((_, y) => rows.filter((row) => row.y === y).length)
  return counts.indexOf(Math.max(...counts))
}

function share(rows: readonly Row[], is: (row: Row, index: number) => boolean): number {
  return round(rows.filter(is).length / rows.length, 3)
}

function standardise(x: readonly number[]): number[] {
  return x.map((v, i) => (v - at(mean, i)) / at(deviation, i))
}

function logits(z: readonly number[], w: readonly (readonly number[])[], b: readonly number[]): number[] {
  return b.map((start, k) => z.reduce((sum, v, i) => sum + v * at(w[i] ?? [], k), start))
}

function softmax(scores: readonly number[]): number[] {
  const top = Math.max(...scores)
  const powers = scores.map((s) => Math.exp(s - top))
  const total = powers.reduce((sum, p) => sum + p, 0)
  return powers.map((p) => p / total)
}

/** Out of range is a mistake of this script, not a zero. */
function at(values: readonly number[], index: number): number {
  const found = values[index]
  if (found === undefined) throw new RangeError(`no element ${index}`)
  return found
}

function round(x: number, digits: number): number {
  return Number(x.toFixed(digits))
}

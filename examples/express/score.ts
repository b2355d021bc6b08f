/** The tabular model: named features in, a probability per class out. train-score.ts makes it. */

import { readFileSync } from 'node:fs'
import type { ModelServer } from 'modelmount'

export const MODEL = 'penguins'

export interface Feature {
  readonly name: string
  readonly label: string
  readonly unit: string
  readonly step: number
  /** Smallest and largest value in the data, and the mean of the training rows. */
  readonly min: number
  readonly max: number
  readonly mean: number
}

/** Facts from train-score.ts about the model; the page builds its sliders from them, too. */
export interface ScoreCard {
  readonly task: string
  readonly features: readonly Feature[]
  readonly classes: readonly string[]
  /** Measured on rows that the training did not see. */
  readonly test: { readonly rows: number; readonly accuracy: number; readonly majorityBaseline: number }
}

export interface Score {
  readonly label: string
  readonly probabilities: Readonly<Record<string, number>>
}

/** A request body that is no penguin. The message lists every problem. */
export class FeatureError extends Error {
  override readonly name = 'FeatureError'
  readonly status = 400
  readonly expose = true
}

export const card: ScoreCard = JSON.parse(readFileSync(new URL('score.json', import.meta.url), 'utf8'))

export async function score(server: Pick<ModelServer, 'predict'>, body: unknown, signal?: AbortSignal): Promise<Score> {
  const { outputs } = await server.predict(MODEL, { features: [toFeatures(body)] }, { signal })
  const values = Array.from(outputs.probabilities?.data ?? [], Number)
  return {
    label: card.classes[values.indexOf(Math.max(...values))] ?? '',
    probabilities: Object.fromEntries(card.classes.map((name, i) => [name, values[i] ?? 0])),
  }
}

function toFeatures(body: unknown): number[] {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new FeatureError(`Send a JSON object with ${card.features.map(({ name }) => name).join(', ')}.`)
  }
  const given = new Map<string, unknown>(Object.entries(body))
  const known = new Set(card.features.map(({ name }) => name))
  const problems = [
    ...card.features.filter((feature) => !isPlausible(given.get(feature.name), feature)).map(expectation),
    ...[...given.keys()].filter((name) => !known.has(name)).map((name) => `${JSON.stringify(name)} is not a feature`),
  ]
  if (problems.length > 0) throw new FeatureError(`${problems.join('; ')}.`)
  return card.features.map(({ name }) => Number(given.get(name)))
}

/** Far from everything it was trained on, a model is as sure of itself as ever, and wrong. */
const plausible = ({ min, max }: Feature) => ({ low: min / 2, high: max * 2 })

function isPlausible(value: unknown, feature: Feature): boolean {
  const { low, high } = plausible(feature)
  return typeof value === 'number' && value >= low && value <= high
}

function expectation(feature: Feature): string {
  const { low, high } = plausible(feature)
  return `${feature.name} must be a number from ${low} to ${high}`
}

/**
 * The record of one endpoint (an instance of a model), and the expected time of its next answer. Pure: every function takes the current
 * time, so that a simulation can drive them.
 */

/** `unknown` before the first answer that shows it. */
type Measured = number | 'unknown'

export interface InstanceStats {
  /** Posted and unanswered bursts. */
  outstanding: number
  /** Expected milliseconds of posted and unanswered work, at the speed of the model's own curve. */
  postedMs: number
  /** Start of the current work: posted to an idle endpoint, or the answer before it. */
  since: number
  /** Measured over expected time, an average of the last runs. */
  factor: Measured
  /** Peak-sensitive average of the time from post to answer. */
  responseMs: Measured
  /** Time of the last answer. */
  seenAt: number
  /** Failed answers in a row. */
  failures: number
  shunnedUntil: number
}

export interface Answer {
  readonly expectedMs: number
  /** Inside the model; 0 for lost work. */
  readonly tookMs: number
  /** From post to answer. */
  readonly responseMs: number
  /** `neutral` for faults of the caller. */
  readonly verdict: 'good' | 'bad' | 'neutral'
}

/** The verdict of all endpoints together on one. */
export interface Fleet {
  /** Median of the known factors. */
  readonly medianFactor: number
  readonly medianResponseMs: number
  /** True while shunning would leave too few endpoints. */
  readonly panics: boolean
}

/** Ten runs decide: a fifth of the speed shows after three, and noise of half a run's length moves it by a tenth. */
const LEARN = 0.1
/** One hiccup of the machine must not pass for a slow endpoint, and a far too slow run must not be remembered for longer than that. */
const MAX_RATIO = 5
/** Old evidence fades, because a shunned endpoint would otherwise never be tried again. */
const DECAY_MS = 5000
/** Decay ends at this share of the fleet's median: an endpoint is tried again, not stampeded. */
const FLOOR = 0.5
/** Bad requests in a row, from one caller, must not take an endpoint out; an endpoint that fails always gets here at once. */
const FAILURES_BEFORE_SHUNNED = 3
const FIRST_SHUN_MS = 5000
const MAX_SHUN_MS = 60_000
const SHUNNED_COST = 10

export const createInstanceStats = (now: number): InstanceStats => ({
  outstanding: 0,
  postedMs: 0,
  since: now,
  factor: 'unknown',
  responseMs: 'unknown',
  seenAt: now,
  failures: 0,
  shunnedUntil: Number.NEGATIVE_INFINITY,
})

export function notePosted(stats: InstanceStats, expectedMs: number, now: number): void {
  if (stats.outstanding === 0) {
    stats.since = now
    stats.postedMs = 0
  }
  stats.outstanding++
  stats.postedMs += expectedMs
}

export function noteAnswered(stats: InstanceStats, answer: Answer, now: number): void {
  stats.outstanding = Math.max(0, stats.outstanding - 1)
  stats.postedMs = stats.outstanding === 0 ? 0 : Math.max(0, stats.postedMs - answer.expectedMs)
  stats.since = now
  if (answer.verdict === 'bad') {
    stats.failures++
    const doublings = stats.failures - FAILURES_BEFORE_SHUNNED
    if (doublings >= 0) stats.shunnedUntil = now + Math.min(MAX_SHUN_MS, FIRST_SHUN_MS * 2 ** doublings)
    return
  }
  if (answer.verdict === 'neutral') return
  stats.failures = 0
  stats.shunnedUntil = Number.NEGATIVE_INFINITY
  if (answer.expectedMs > 0) {
    stats.factor = learn(stats, Math.min(MAX_RATIO, answer.tookMs / answer.expectedMs), now)
  }
  stats.responseMs = peakAverage(stats, answer.responseMs, now)
  stats.seenAt = now
}

const decay = (stats: InstanceStats, now: number): number => Math.exp(-(now - stats.seenAt) / DECAY_MS)

function learn(stats: InstanceStats, ratio: number, now: number): number {
  const { factor } = stats
  if (factor === 'unknown') return ratio
  const silence = 1 - decay(stats, now)
  // After a silence it continues from its faded value, and one run weighs more.
  if (silence <= LEARN) return factor + LEARN * (ratio - factor)
  const before = factor * (1 - silence)
  return before + silence * (ratio - before)
}

/** Rises at once, falls slowly: Finagle's peak EWMA. */
function peakAverage(stats: InstanceStats, responseMs: number, now: number): number {
  const before = stats.responseMs
  if (before === 'unknown' || responseMs > before) return responseMs
  const keep = decay(stats, now)
  return before * keep + responseMs * (1 - keep)
}

export function fleetOf(all: readonly InstanceStats[], now: number): Fleet {
  const shunned = all.filter((stats) => stats.shunnedUntil > now).length
  return {
    medianFactor: lowerMedian(all.map((stats) => stats.factor)) ?? 1,
    medianResponseMs: lowerMedian(all.map((stats) => stats.responseMs)) ?? 0,
    panics: shunned * 2 > all.length,
  }
}

/** Of two, the faster one is the one to expect. */
function lowerMedian(values: readonly Measured[]): number | undefined {
  const measured = values.filter((value) => value !== 'unknown').sort((a, b) => a - b)
  return measured[Math.floor((measured.length - 1) / 2)]
}

const penalty = (stats: InstanceStats, fleet: Fleet, now: number): number =>
  stats.shunnedUntil > now && !fleet.panics ? SHUNNED_COST : 1

/** The factor on a run's expected duration here; a new endpoint counts as average. */
export function slowness(stats: InstanceStats, fleet: Fleet, now: number): number {
  const { factor } = stats
  const believed = factor === 'unknown' ? fleet.medianFactor : Math.max(FLOOR * fleet.medianFactor, factor * decay(stats, now))
  return believed * penalty(stats, fleet, now)
}

/** Milliseconds until an answer to `nextMs` of further work would be here. */
export function completionMs(stats: InstanceStats, nextMs: number, fleet: Fleet, now: number): number {
  const slow = slowness(stats, fleet, now)
  if (stats.outstanding === 0) return nextMs * slow
  const leftMs = stats.postedMs * slow - (now - stats.since)
  // Overdue by x, it may well take x longer: hung work becomes less and less worth waiting for.
  return Math.abs(leftMs) + nextMs * slow
}

/** Expected response time with one more request in line, computed as service meshes do: from response times alone. */
export function responseCost(stats: InstanceStats, fleet: Fleet, now: number): number {
  const { responseMs } = stats
  const believed =
    responseMs === 'unknown' ? fleet.medianResponseMs : Math.max(FLOOR * fleet.medianResponseMs, responseMs * decay(stats, now))
  return believed * (stats.outstanding + 1) * penalty(stats, fleet, now)
}

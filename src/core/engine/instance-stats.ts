/**
 * The record of one endpoint (an instance of a model), and the expected time of its next answer. Pure: every function takes the current
 * time, so that a simulation can drive them.
 */

export interface Standing {
  /** Posted and unanswered bursts. */
  outstanding: number
  /** Expected milliseconds of posted and unanswered work, at the speed of the model's own curve. */
  postedMs: number
  /** Start of the current work: posted to an idle endpoint, or the answer before it. */
  since: number
  /** Measured over expected time, an average of the last runs; `undefined` before the first. */
  factor: number | undefined
  /** Peak-sensitive average of the time from post to answer; `undefined` before the first. */
  responseMs: number | undefined
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

export const createStanding = (now: number): Standing => ({
  outstanding: 0,
  postedMs: 0,
  since: now,
  factor: undefined,
  responseMs: undefined,
  seenAt: now,
  failures: 0,
  shunnedUntil: Number.NEGATIVE_INFINITY,
})

export function notePosted(standing: Standing, expectedMs: number, now: number): void {
  if (standing.outstanding === 0) {
    standing.since = now
    standing.postedMs = 0
  }
  standing.outstanding++
  standing.postedMs += expectedMs
}

export function noteAnswered(standing: Standing, answer: Answer, now: number): void {
  standing.outstanding = Math.max(0, standing.outstanding - 1)
  standing.postedMs = standing.outstanding === 0 ? 0 : Math.max(0, standing.postedMs - answer.expectedMs)
  standing.since = now
  if (answer.verdict === 'bad') {
    standing.failures++
    const doublings = standing.failures - FAILURES_BEFORE_SHUNNED
    if (doublings >= 0) standing.shunnedUntil = now + Math.min(MAX_SHUN_MS, FIRST_SHUN_MS * 2 ** doublings)
    return
  }
  if (answer.verdict === 'neutral') return
  standing.failures = 0
  standing.shunnedUntil = Number.NEGATIVE_INFINITY
  if (answer.expectedMs > 0) {
    standing.factor = learn(standing, Math.min(MAX_RATIO, answer.tookMs / answer.expectedMs), now)
  }
  standing.responseMs = peakAverage(standing, answer.responseMs, now)
  standing.seenAt = now
}

const decay = (standing: Standing, now: number): number => Math.exp(-(now - standing.seenAt) / DECAY_MS)

function learn(standing: Standing, ratio: number, now: number): number {
  const { factor } = standing
  if (factor === undefined) return ratio
  const silence = 1 - decay(standing, now)
  // After a silence it continues from its faded value, and one run weighs more.
  if (silence <= LEARN) return factor + LEARN * (ratio - factor)
  const before = factor * (1 - silence)
  return before + silence * (ratio - before)
}

/** Rises at once, falls slowly: Finagle's peak EWMA. */
function peakAverage(standing: Standing, responseMs: number, now: number): number {
  const before = standing.responseMs
  if (before === undefined || responseMs > before) return responseMs
  const keep = decay(standing, now)
  return before * keep + responseMs * (1 - keep)
}

export function fleetOf(standings: readonly Standing[], now: number): Fleet {
  const shunned = standings.filter((standing) => standing.shunnedUntil > now).length
  return {
    medianFactor: lowerMedian(standings.map((standing) => standing.factor)) ?? 1,
    medianResponseMs: lowerMedian(standings.map((standing) => standing.responseMs)) ?? 0,
    panics: shunned * 2 > standings.length,
  }
}

/** Of two, the faster one is the one to expect. */
function lowerMedian(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined).sort((a, b) => a - b)
  return known[Math.floor((known.length - 1) / 2)]
}

const penalty = (standing: Standing, fleet: Fleet, now: number): number =>
  standing.shunnedUntil > now && !fleet.panics ? SHUNNED_COST : 1

/** The factor on a run's expected duration here; a new endpoint counts as average. */
export function slowness(standing: Standing, fleet: Fleet, now: number): number {
  const { factor } = standing
  const believed = factor === undefined ? fleet.medianFactor : Math.max(FLOOR * fleet.medianFactor, factor * decay(standing, now))
  return believed * penalty(standing, fleet, now)
}

/** Milliseconds until an answer to `nextMs` of further work would be here. */
export function completionMs(standing: Standing, nextMs: number, fleet: Fleet, now: number): number {
  const slow = slowness(standing, fleet, now)
  if (standing.outstanding === 0) return nextMs * slow
  const leftMs = standing.postedMs * slow - (now - standing.since)
  // Overdue by x, it may well take x longer: hung work becomes less and less worth waiting for.
  return Math.abs(leftMs) + nextMs * slow
}

/** Expected response time with one more request in line, computed as service meshes do: from response times alone. */
export function responseCost(standing: Standing, fleet: Fleet, now: number): number {
  const { responseMs } = standing
  const believed =
    responseMs === undefined
      ? fleet.medianResponseMs
      : Math.max(FLOOR * fleet.medianResponseMs, responseMs * decay(standing, now))
  return believed * (standing.outstanding + 1) * penalty(standing, fleet, now)
}

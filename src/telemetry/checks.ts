/** Results of the checks before models may run: signature, revocation list, lock file, and trial run. */

import type { ServerEvent } from '../core/model/events.ts'
import type { LoadEnd } from '../core/telemetry/index.ts'
import type { Instruments } from './instruments.ts'
import { ATTR_MODEL, ATTR_OUTCOME, METRICS, OTHER } from './names.ts'

type Outcome = 'verified' | 'unverified' | 'refused' | 'revoked' | 'trial-run-failed'

export interface Checks {
  saw(event: ServerEvent): void
  loaded(load: LoadEnd): void
  /** @returns a function that ends the observation */
  observe(instruments: Instruments): () => void
}

/** A refused model is gone at once, but its count must stay. The list of loaded models therefore cannot bound the names. */
const MOST_MODELS = 1000

export function createChecks(): Checks {
  const models = new Map<string, Map<Outcome, number>>()

  function count(name: string, outcome: Outcome): void {
    const model = models.has(name) || models.size < MOST_MODELS ? name : OTHER
    const outcomes = models.get(model) ?? new Map<Outcome, number>()
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    models.set(model, outcomes)
  }

  return {
    saw(event) {
      if (event.type === 'integrity') count(event.model, event.revoked ? 'revoked' : event.outcome)
    },
    loaded({ model, error, steps }) {
      if (error !== undefined && steps.at(-1)?.name === 'trialRun') count(model, 'trial-run-failed')
    },
    observe: (instruments) =>
      instruments.observe({ checks: METRICS.checks }, (observe) => {
        for (const [model, outcomes] of models)
          for (const [outcome, times] of outcomes) observe('checks', times, { [ATTR_MODEL]: model, [ATTR_OUTCOME]: outcome })
      }),
  }
}

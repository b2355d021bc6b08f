/** Where a model runs: where its user says, or in a process of its own where its graph shows that a request's values could end the host. */

import type { ModelConfig } from '../options/index.ts'

export type IsolationEvent =
  | { readonly type: 'isolation'; readonly isolation: 'process'; readonly reason: string }
  | { readonly type: 'warning'; readonly message: string }

interface Decision {
  readonly config: ModelConfig
  readonly event: IsolationEvent | undefined
}

/** @param hazard the finding in the graph, as a sentence */
export function decideIsolation(config: ModelConfig, hazard: string | undefined): Decision {
  const { isolation, isolationGiven, trialRunGiven, trialRun } = config
  if (hazard === undefined || isolation === 'process') return { config, event: undefined }
  if (isolationGiven) {
    const message = `${config.name}@${config.version}: ${hazard}, which can end this process: isolation: 'thread' should be 'process'`
    return { config, event: { type: 'warning', message } }
  }
  return {
    config: Object.freeze({ ...config, isolation: 'process', trialRun: trialRunGiven ? trialRun : true }),
    event: { type: 'isolation', isolation: 'process', reason: `${hazard}, which can end the process that runs it` },
  }
}

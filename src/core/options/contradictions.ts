/** Settings that are right by themselves and wrong together. */

import { isMainThread } from 'node:worker_threads'
import { ENGINE_OPTIONS } from '../engine/options.ts'
import { batchingContradictions, SCHEDULER_OPTIONS } from '../scheduler/options.ts'
import type { StateOptions } from '../sequences/options.ts'
import { sequenceContradictions } from '../sequences/options.ts'
import type { ModelSettings, ModelSpec } from './model.ts'

/** @param shared settings below those of the model */
export function contradictions(spec: ModelSettings & StateOptions, shared: ModelSettings): string[] {
  const problems: string[] = []
  const isolation = spec.isolation ?? shared.isolation ?? ENGINE_OPTIONS.isolation.fallback
  if (spec.maxMemoryBytes !== undefined && isolation !== 'process')
    problems.push("maxMemoryBytes needs isolation: 'process': a thread's memory cannot be told from the host's")
  if (spec.isolation === 'thread' && !isMainThread)
    problems.push(
      "isolation is 'thread' inside a worker thread, which its owner can end during a run, and the whole process with it: leave it out, or set 'process'",
    )
  if (spec.sequences) problems.push(...sequenceContradictions(spec.sequences))
  const timeoutMs = spec.timeoutMs ?? shared.timeoutMs ?? SCHEDULER_OPTIONS.timeoutMs.fallback
  if (spec.batching) problems.push(...batchingContradictions(spec.batching, timeoutMs))
  return problems
}

/** A name and version stands once, and a label points at one version, whichever version's spec says so. */
export function listContradictions(models: readonly { readonly at: string; readonly spec: ModelSpec }[]): string[] {
  const problems: string[] = []
  const seen = new Set<string>()
  const labels = new Map<string, string>()
  for (const { at, spec } of models) {
    const { name, version = '1', versionLabels = {} } = spec
    if (seen.has(`${name}@${version}`)) problems.push(`${at} is a second version '${version}' of '${name}'`)
    seen.add(`${name}@${version}`)
    for (const [label, target] of Object.entries(versionLabels)) {
      const other = labels.get(`${name}@${label}`) ?? target
      if (other !== target)
        problems.push(`${at}.versionLabels.${label} is '${target}', but another version of '${name}' says '${other}'`)
      labels.set(`${name}@${label}`, target)
    }
  }
  return problems
}

/** The versions of models over all servers of a telemetry: two servers that serve the same version make one series of it. */

import type { ModelInfo } from '../core/model/types.ts'
import type { TelemetrySource } from '../core/telemetry/index.ts'

export interface Version {
  readonly model: string
  readonly version: string
  /** Of each server that has it; never empty. */
  readonly infos: readonly ModelInfo[]
}

/** @param infos of all servers, server by server */
export function versionsOf(infos: Iterable<ModelInfo>): Version[] {
  const models = new Map<string, Map<string, ModelInfo[]>>()
  for (const info of infos) {
    if (info.state === 'unloaded') continue
    const versions = models.get(info.name) ?? new Map<string, ModelInfo[]>()
    models.set(info.name, versions)
    const known = versions.get(info.version)
    if (known) known.push(info)
    else versions.set(info.version, [info])
  }
  return [...models].flatMap(([model, versions]) => [...versions].map(([version, infos]) => ({ model, version, infos })))
}

export const has = (source: TelemetrySource, model: string, version: string): boolean =>
  source.models().some((info) => info.name === model && info.version === version && info.state !== 'unloaded')

export const sumOf = (infos: readonly ModelInfo[], read: (info: ModelInfo) => number): number =>
  infos.reduce((sum, info) => sum + read(info), 0)

/** @returns `undefined` if none of them has it */
export function greatestOf(infos: readonly ModelInfo[], read: (info: ModelInfo) => number | undefined): number | undefined {
  const values = infos.map(read).filter((value) => value !== undefined)
  return values.length > 0 ? Math.max(...values) : undefined
}

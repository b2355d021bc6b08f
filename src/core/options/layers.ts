/** Settings over settings: of a server, of a model's files, of a call. */

import type { SettingsLayer } from '../registry/found.ts'
import { defined } from './defined.ts'
import { MODEL_SPEC } from './model.ts'

/** Settings in groups of their own, of which each layer may give a part. */
const GROUPS = Object.entries(MODEL_SPEC).flatMap(([key, { isJoined }]) => (isJoined ? [key as keyof SettingsLayer] : []))

/**
 * Groups are joined by key.
 * @param over wins
 */
export function layered(under: SettingsLayer, over: SettingsLayer): SettingsLayer {
  const joined: Record<string, unknown> = { ...under, ...defined(over) }
  for (const group of GROUPS) {
    const [a, b] = [under[group], over[group]]
    if (a && b) joined[group] = { ...(a as object), ...defined(b as object) }
  }
  return joined
}

/** `route`: which version a call runs in. */

import { ModelmountError } from '../errors.ts'
import type { Registry } from '../registry/registry.ts'
import { sequenceKey } from '../sequences/index.ts'
import { servedOf } from './adopt.ts'
import type { Call, Predict, RoutedCall } from './call.ts'
import { routed } from './narrow.ts'
import type { Served } from './served.ts'

type Versions<S extends Served> = Pick<Registry<S>, 'resolve' | 'labelled' | 'versions'>

/**
 * The version that the path or the caller names.
 * @throws ModelmountError `MODEL_NOT_FOUND`, `VERSION_NOT_FOUND`, `LABEL_NOT_FOUND`, `MODEL_NOT_READY`
 */
export const targetOf = <S extends Served>(registry: Versions<S>, { model, version, label }: Call): S =>
  registry.resolve(model, label === undefined ? version : registry.labelled(model, label))

/** @param registry holds nothing but servables that are served */
export const createRoute =
  <S extends Served>(registry: Versions<S>) =>
  (next: Predict<RoutedCall>): Predict =>
  (call) => {
    const target = call.servable && !isRenamed(call) ? servedOf(call.servable) : targetOf(registry, call)
    return next(routed(call, call.sequence ? holderOf(registry, target, call, call.sequence) : target))
  }

/** The body was read for one servable, and a stage has named another one since. */
function isRenamed({ decoded, model, version, label, servable }: Call): boolean {
  if (!decoded || decoded.of !== servable || decoded.by.servable) return false
  return model !== decoded.by.model || version !== decoded.by.version || label !== decoded.by.label
}

/** Where a request goes on with a sequence, the version that has it. One id is one sequence of all versions. */
function holderOf<S extends Served>(
  registry: Versions<S>,
  target: Served,
  { tenant, version }: Call,
  sequence: NonNullable<Call['sequence']>,
): Served {
  const { name } = target
  if (!target.sequences)
    throw new ModelmountError('OPTIONS_INVALID', `opts.sequence: model '${name}' keeps no state between requests`, {
      details: { field: 'sequence' },
    })
  const key = sequenceKey(tenant, sequence)
  const others = registry.versions(name).filter((other) => other !== target && other.sequences?.has(key))
  if (sequence.start) for (const other of others) other.sequences?.end(key)
  if (sequence.start || version !== undefined || target.sequences.has(key)) return target
  return others.find(({ state }) => state === 'ready') ?? target
}

/** The way of every prediction, composed once: the server's own steps in their places, and the stages of extensions around them. */

import { isModelmountError, ModelmountError, toModelmountError } from '../errors.ts'
import type { Answer, Call, Predict, Servable } from './call.ts'
import type { Served } from './served.ts'
import { PLACES, type Place, type Stage, type Stages } from './stage.ts'

/** Stages with the name of the extension that they are of. */
export interface Mounted {
  readonly name: string
  readonly stages?: Stages | undefined
}

interface Deps {
  /** The server's own steps; a place without one is empty until an extension has a stage there. */
  readonly steps: { readonly [P in Place]?: Stage }
  readonly extensions: readonly Mounted[]
  /** A defect of an extension, for the log: the caller gets `INTERNAL`. */
  report(message: string, error: ModelmountError): void
}

export interface Pipeline {
  readonly predict: Predict
  /** Shows a call that was refused before it could begin to the stages in `observe`. Rejects with the error. */
  refuse(call: Call, error: unknown): Promise<never>
}

export function createPipeline({ steps, extensions, report }: Deps): Pipeline {
  const around = (place: Place, next: Predict): Predict =>
    extensions.reduceRight((inner, { name, stages }) => {
      const stage = stages?.[place]
      return stage ? guarded(stage, inner, `extension '${name}' failed in the place '${place}'`, report) : inner
    }, next)
  const predict = PLACES.reduceRight((next, place) => around(place, steps[place]?.(next) ?? next), run)
  const refusals = new WeakMap<Call, unknown>()
  const refused = around('observe', (call) => Promise.reject(refusals.get(call)))
  return {
    predict,
    refuse(call, error) {
      refusals.set(call, error)
      return refused(call) as Promise<never>
    },
  }
}

/** The last step: the servable answers. */
function run(call: Call): Promise<Answer> {
  return (call.servable as Servable).run(call)
}

/** `cache`: only for what keeps results. */
export const cacheStep: Stage = (next) => {
  const runIt = (_inputs: unknown, call: Call): Promise<Answer> => next(call)
  return (call) => {
    const cache = call.cacheable ? (call.servable as Served).cache : undefined
    return cache ? cache.getOrRun(call.inputs as Parameters<typeof cache.getOrRun>[0], call, runIt) : next(call)
  }
}

/** `decode`: only for calls with a body. */
export const decodeStep: Stage = (next) => (call) => (call.codec ? call.codec.through(call, next) : next(call))

/** A stage of an extension. An error of its own that is no ModelmountError is its defect, and fails this request alone. */
function guarded(stage: Stage, inner: Predict, what: string, report: Deps['report']): Predict {
  // Errors from further in become ours here, so that the rest is the stage's.
  const outer = stage(async (call) => {
    try {
      return await inner(call)
    } catch (error) {
      throw toModelmountError(error)
    }
  })
  return async (call) => {
    try {
      return await outer(call)
    } catch (cause) {
      if (isModelmountError(cause)) throw cause
      const error = new ModelmountError('INTERNAL', 'internal error', { cause })
      report(what, error)
      throw error
    }
  }
}

/** The way of every prediction, composed once: the server's own steps in their places, and the stages of extensions around them. */

import { isModelmountError, ModelmountError, toModelmountError } from '../errors.ts'
import { faultIn } from './answered.ts'
import type { Account, Answer, Call, CheckedCall, Predict, RoutedCall, Servable } from './call.ts'
import { copyOf } from './narrow.ts'
import type { Served } from './served.ts'
import { completeStack } from './stack.ts'
import type { CallIn, Place, Stage, Stages } from './stage.ts'

/** Stages with the name of the extension that they are of. */
export interface Mounted {
  readonly name: string
  readonly stages?: Stages | undefined
  readonly servables?: readonly Servable[] | undefined
}

/** The server's own. All other places are empty until an extension has a stage there. */
interface Steps {
  readonly decode: Stage
  route(next: Predict<RoutedCall>): Predict
  check(next: Predict<CheckedCall>): Predict<RoutedCall>
  readonly cache: Stage<CheckedCall>
}

interface Deps {
  readonly steps: Steps
  readonly extensions: readonly Mounted[]
  /** A defect of an extension, for the log: the caller gets `INTERNAL`. */
  report(message: string, error: ModelmountError): void
}

export interface Pipeline {
  readonly predict: Predict
  /** Stages and servables of extensions may answer: their answers are not the server's to change or free. */
  readonly isExtended: boolean
  /** Takes a call that was refused in front of its body through the places `observe` and `identify`. Rejects with the error, unless a stage answers. */
  refuse(call: Call, error: unknown): Promise<Answer>
}

export function createPipeline({ steps, extensions, report }: Deps): Pipeline {
  const around = <P extends Place>(place: P, next: Predict<CallIn[P]>): Predict<CallIn[P]> =>
    extensions.reduceRight((inner, { name, stages }) => {
      const stage: Stage<CallIn[P]> | undefined = stages?.[place]
      return stage ? guarded(stage, inner, `extension '${name}' failed in the place '${place}'`, report) : inner
    }, next)
  const outermost = (next: Predict): Predict => around('observe', around('identify', next))

  const isStaged = extensions.some(({ stages }) => stages !== undefined)
  // The steps that fill in a call get one of their own: a stage may ask again with the same.
  const copying = <C extends Call>(step: Predict<C>): Predict<C> => (isStaged ? (call) => step(copyOf(call)) : step)
  const settling = <C extends Call>(step: Predict<C>): Predict<C> => (isStaged ? settled(step) : step)
  const ran = around('run', settling(run))
  const cached = around('cache', steps.cache(ran))
  const checked = around('check', copying(steps.check(cached)))
  const authorized = around('authorize', checked)
  const routed = around('route', copying(steps.route(authorized)))
  const decoded = around('decode', settling(steps.decode(routed)))
  const opened = around('open', decoded)
  const admitted = around('admit', opened)

  const refusals = new WeakMap<Account, unknown>()
  const refused = outermost((call) => Promise.reject(ours(refusals.get(call.account), call)))
  return {
    predict: outermost(admitted),
    isExtended: extensions.some(({ stages, servables }) => stages !== undefined || servables !== undefined),
    refuse(call, error) {
      refusals.set(call.account, error)
      return refused(call)
    },
  }
}

/** The last step: the servable answers. */
function run(call: CheckedCall): Promise<Answer> {
  return call.servable.run(call)
}

/** `cache`: only for servables that keep results. */
export const cacheStep: Stage<CheckedCall> = (next) => {
  const runIt = (_inputs: unknown, call: CheckedCall): Promise<Answer> => next(call)
  return (call) => {
    const cache = call.cacheable ? (call.servable as Served).cache : undefined
    return cache ? cache.getOrRun(call.inputs, call, runIt) : next(call)
  }
}

/** `decode`: only for calls with a body. */
export const decodeStep: Stage = (next) => (call) => (call.codec ? call.codec.through(call, next) : next(call))

/**
 * A stage of an extension. An error of its own that is no ModelmountError is its defect, and fails this request alone. A stage that hands on the
 * promise of what is further in adds none: each promise on the way costs as much as a short stage.
 */
function guarded<C extends Call>(stage: Stage<C>, inner: Predict<C>, what: string, report: Deps['report']): Predict<C> {
  /** Of the call that went further in last. */
  let passed: Promise<Answer> | undefined
  const outer = stage((call) => {
    try {
      passed = inner(call)
    } catch (cause) {
      passed = Promise.reject(ours(cause, call))
    }
    return passed
  })
  const failed = (error: ModelmountError): never => {
    report(what, error)
    throw error
  }
  const refused = (cause: unknown): never => {
    if (isModelmountError(cause)) throw cause
    return failed(new ModelmountError('INTERNAL', 'internal error', { cause }))
  }
  const checked = (answer: Answer): Answer => {
    const fault = faultIn(answer)
    return fault ? failed(fault) : answer
  }
  return (call) => {
    try {
      const answering = outer(call)
      if (answering === passed) return answering
      return Promise.resolve(answering).then(checked, refused)
    } catch (cause) {
      return Promise.reject(cause).catch(refused)
    }
  }
}

/** An error from further in becomes ours before a stage sees it, so that the rest is the stage's own. */
function ours(cause: unknown, call: Call): ModelmountError {
  const error = toModelmountError(cause)
  if (call.account.progress.servable) completeStack(error, call)
  return error
}

/** A step whose promise rejects with errors of ours alone. */
const settled =
  <C extends Call>(next: Predict<C>): Predict<C> =>
  (call) =>
    next(call).catch((cause) => {
      throw ours(cause, call)
    })

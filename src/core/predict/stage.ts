/** Steps around every prediction: stages in places that are nested, composed once when the server is made. */

import type { Call, CheckedCall, Predict, RoutedCall } from './call.ts'

/** Wraps what is further in. Called once; the function that it returns is called for every prediction. */
export type Stage<C extends Call = Call> = (next: Predict<C>) => Predict<C>

/**
 * The places of a prediction, outermost first; an answer passes them in reverse. Work of the server in each place:
 *
 * - `observe` counts and traces, refusals and kept results included;
 * - `identify` knows on whose behalf the request comes;
 * - `admit` refuses by the path alone, before the body is looked at;
 * - `open` unpacks a sealed body, and seals the answer;
 * - `decode` turns a body into tensors, and the answer into a body;
 * - `route` finds what answers;
 * - `authorize` refuses by what that is;
 * - `check` holds inputs and outputs against the signature;
 * - `cache` answers what was answered before;
 * - `run` queues and runs it.
 */
export const PLACES = ['observe', 'identify', 'admit', 'open', 'decode', 'route', 'authorize', 'check', 'cache', 'run'] as const

export type Place = (typeof PLACES)[number]

/** The call that a stage in a place gets, and passes on. */
export interface CallIn extends Record<Place, Call> {
  readonly authorize: RoutedCall
  readonly check: RoutedCall
  readonly cache: CheckedCall
  readonly run: CheckedCall
}

/** Stages by place. In one place they are outside the server's own step, and those of earlier extensions are outside those of later ones. */
export type Stages = { readonly [P in Place]?: Stage<CallIn[P]> }

/** One listener per AbortSignal however many requests share it: Node warns of a leak from the eleventh on. */

import type { AbortSignalLike } from './types.ts'

const callbacksOf = new WeakMap<AbortSignal, Set<() => void>>()

/** Calls back when the signal fires; returns a function that stops listening. */
export function onAbort(signal: AbortSignalLike, callback: () => void): () => void {
  // An adapter's, made for one request: nobody shares it.
  if (!(signal instanceof AbortSignal)) {
    signal.addEventListener('abort', callback)
    return () => signal.removeEventListener('abort', callback)
  }
  let callbacks = callbacksOf.get(signal)
  if (!callbacks) {
    const known = new Set<() => void>()
    callbacks = known
    callbacksOf.set(signal, known)
    signal.addEventListener(
      'abort',
      () => {
        for (const call of known) call()
      },
      { once: true },
    )
  }
  callbacks.add(callback)
  return () => callbacks.delete(callback)
}

/** A signal that fires when the first of two does. */
export function eitherSignal(one: AbortSignalLike | undefined, other: AbortSignal): AbortSignal {
  if (one === undefined) return other
  if (one instanceof AbortSignal) return AbortSignal.any([one, other])
  const bridge = new AbortController()
  if (one.aborted) bridge.abort(one.reason)
  else one.addEventListener('abort', () => bridge.abort(one.reason))
  return AbortSignal.any([bridge.signal, other])
}

/** One listener per AbortSignal however many requests share it: Node warns of a leak from the eleventh on. */

const callbacksOf = new WeakMap<AbortSignal, Set<() => void>>()

/** Calls back when the signal fires; returns a function that stops listening. */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
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

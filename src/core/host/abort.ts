/**
 * Keeps one listener per AbortSignal, shared by all its requests and removed with the last. Node warns of a leak from the eleventh
 * listener on.
 */

/**
 * The used part of an `AbortSignal`. An adapter may pass a lighter object: creating a real signal costs as much as reading a small
 * request.
 */
export interface AbortSignalLike {
  readonly aborted: boolean
  readonly reason: unknown
  addEventListener(type: 'abort', listener: () => void): void
  removeEventListener(type: 'abort', listener: () => void): void
}

interface Shared {
  readonly callbacks: Set<() => void>
  end(): void
}

const sharedOf = new WeakMap<AbortSignal, Shared>()

function share(signal: AbortSignal): Shared {
  const callbacks = new Set<() => void>()
  const fire = (): void => {
    end()
    for (const call of callbacks) call()
  }
  const end = (): void => {
    signal.removeEventListener('abort', fire)
    sharedOf.delete(signal)
  }
  signal.addEventListener('abort', fire)
  const shared = { callbacks, end }
  sharedOf.set(signal, shared)
  return shared
}

/** Calls back when the signal fires; returns a function that stops listening. */
export function onAbort(signal: AbortSignalLike, callback: () => void): () => void {
  // A signal of an adapter serves one request, so it needs no sharing.
  if (!(signal instanceof AbortSignal)) {
    signal.addEventListener('abort', callback)
    return () => signal.removeEventListener('abort', callback)
  }
  const { callbacks, end } = sharedOf.get(signal) ?? share(signal)
  callbacks.add(callback)
  return () => {
    if (callbacks.delete(callback) && callbacks.size === 0) end()
  }
}

/** A signal that fires when the first of two does. */
export interface Either {
  readonly signal: AbortSignal
  /** Stops listening to both signals. */
  end(): void
}

/** Unlike `AbortSignal.any()`, which leaves an entry on a long-lived signal with each call. */
export function eitherSignal(one: AbortSignalLike | undefined, other: AbortSignal): Either {
  if (one === undefined) return { signal: other, end() {} }
  const both = new AbortController()
  const ends = [one, other].map((signal) => {
    if (signal.aborted) both.abort(signal.reason)
    return onAbort(signal, () => both.abort(signal.reason))
  })
  return {
    signal: both.signal,
    end() {
      for (const end of ends) end()
    },
  }
}

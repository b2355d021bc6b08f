/** One listener per AbortSignal however many requests share it, and none when none is left: Node warns of a leak from the eleventh on. */

/** What is used of an `AbortSignal`. An adapter may bring something lighter: making a real one costs as much as reading a small request. */
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
  // An adapter's, made for one request: nobody shares it.
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
  /** Stops listening to the two. */
  end(): void
}

/** Unlike `AbortSignal.any()`, which leaves something at a signal that lives for long each time it is called. */
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

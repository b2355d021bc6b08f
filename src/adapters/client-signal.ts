/** Signals that the client of one request went away. A real AbortController for every request costs as much as reading a small one. */

import type { AbortSignalLike } from '../core/host/abort.ts'

/** A class, because V8 makes a hidden class for every object literal with a getter, and those live until the next full collection. */
export class ClientSignal implements AbortSignalLike {
  #aborted = false
  #listeners: readonly (() => void)[] = []

  get aborted(): boolean {
    return this.#aborted
  }

  get reason(): unknown {
    return this.#aborted ? new DOMException('The client went away', 'AbortError') : undefined
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners = [...this.#listeners, listener]
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners = this.#listeners.filter((known) => known !== listener)
  }

  /** The client went away, or the app has answered instead. */
  abort(): void {
    this.#aborted = true
    const told = this.#listeners
    this.#listeners = []
    for (const listener of told) listener()
  }
}

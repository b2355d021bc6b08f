/** Signals that the client of one request went away. A real AbortController for every request costs as much as reading a small one. */

import type { AbortSignalLike } from '../core/host/abort.ts'

const NONE: readonly (() => void)[] = []

/** A class, because V8 makes a hidden class for every object literal with a getter, and those live until the next full collection. */
export class ClientSignal implements AbortSignalLike {
  #aborted = false
  /** Mostly there is one. */
  #listener: (() => void) | undefined
  #others: readonly (() => void)[] | undefined

  get aborted(): boolean {
    return this.#aborted
  }

  get reason(): unknown {
    return this.#aborted ? new DOMException('The client went away', 'AbortError') : undefined
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    if (this.#listener === undefined) this.#listener = listener
    else this.#others = [...(this.#others ?? []), listener]
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    if (this.#listener !== listener) {
      this.#others = this.#others?.filter((known) => known !== listener)
      return
    }
    const [next, ...others] = this.#others ?? NONE
    this.#listener = next
    this.#others = next ? others : undefined
  }

  /** The client went away, or the app has answered instead. */
  abort(): void {
    this.#aborted = true
    const [first, others = NONE] = [this.#listener, this.#others]
    this.#listener = undefined
    this.#others = undefined
    first?.()
    for (const listener of others) listener()
  }
}

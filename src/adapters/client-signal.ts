/** Says that the client of one request went away. A real AbortController for every request costs as much as reading a small one. */

import type { ServerResponse } from 'node:http'
import type { AbortSignalLike } from '../core/types.ts'

/**
 * Fires when the response is closed before it was written: the client went away, or the app has answered for us. A class, because V8 makes
 * a hidden class for every object literal with a getter, and those live until the next full collection.
 */
export class ClientSignal implements AbortSignalLike {
  #aborted = false
  #listeners: readonly (() => void)[] = []
  readonly #res: ServerResponse
  readonly #onClose: () => void

  constructor(res: ServerResponse) {
    this.#res = res
    this.#onClose = () => this.#abort()
    res.on('close', this.#onClose)
  }

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

  /** The answer is there: what happens to the connection from now on concerns nobody. */
  rest(): void {
    this.#res.off('close', this.#onClose)
  }

  #abort(): void {
    this.#aborted = true
    const told = this.#listeners
    this.#listeners = []
    for (const listener of told) listener()
  }
}

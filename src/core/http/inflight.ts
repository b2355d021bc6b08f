/** Bytes of request bodies that a server holds at a time, received and unpacked, of all its mounts. */

import { ModelmountError } from '../errors.ts'
import type { HeldBytes } from './types.ts'

export interface InFlight {
  /** Of all requests that are not over. */
  readonly bytes: number
  /** For one request. */
  hold(): HeldBytes
}

/** Of all requests. */
interface Total {
  bytes: number
}

/** A class, because each request has one: three functions of its own would cost more than the counting. */
class Held implements HeldBytes {
  readonly #total: Total
  readonly #maxBytes: number
  #bytes = 0
  #isOver = false

  constructor(total: Total, maxBytes: number) {
    this.#total = total
    this.#maxBytes = maxBytes
  }

  fits(more: number): boolean {
    return !this.#isOver && this.#total.bytes + more <= this.#maxBytes
  }

  add(more: number): boolean {
    if (!this.fits(more)) return false
    this.#bytes += more
    this.#total.bytes += more
    return true
  }

  release(): void {
    this.#isOver = true
    this.#total.bytes -= this.#bytes
    this.#bytes = 0
  }
}

export function createInFlight(maxBytes: number): InFlight {
  const total: Total = { bytes: 0 }
  return {
    get bytes() {
      return total.bytes
    },
    hold: () => new Held(total, maxBytes),
  }
}

export const tooMuchInFlight = (): ModelmountError =>
  new ModelmountError('OVERLOADED', 'the server holds as many bytes of requests as it may', { retryAfterS: 1 })

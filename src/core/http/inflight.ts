/** Bytes of request bodies that a server holds at a time, received and unpacked, of all its mounts. */

import { ModelmountError } from '../errors.ts'
import type { HeldBytes } from './types.ts'

export interface InFlight {
  /** Of all requests that are not over. */
  readonly bytes: number
  /** For one request. */
  hold(): HeldBytes
}

export function createInFlight(maxBytes: number): InFlight {
  let total = 0

  function hold(): HeldBytes {
    let bytes = 0
    let isOver = false
    const fits = (more: number): boolean => !isOver && total + more <= maxBytes
    return {
      fits,
      add(more) {
        if (!fits(more)) return false
        bytes += more
        total += more
        return true
      },
      release() {
        isOver = true
        total -= bytes
        bytes = 0
      },
    }
  }

  return {
    get bytes() {
      return total
    },
    hold,
  }
}

export const tooMuchInFlight = (): ModelmountError =>
  new ModelmountError('OVERLOADED', 'the server holds as many bytes of requests as it may', { retryAfterS: 1 })

/** Lets a few in at a time; the others wait in the order in which they came. */

import { ModelmountError } from '../errors.ts'
import { type AbortSignalLike, onAbort } from '../host/abort.ts'

export interface Turnstile {
  readonly inside: number
  readonly waiting: number
  /**
   * @returns lets the next one in
   * @throws ModelmountError `ABORTED` when the signal fires before it is let in
   */
  enter(signal?: AbortSignalLike): Promise<() => void>
}

export function createTurnstile(places: number): Turnstile {
  const line = new Set<() => void>()
  let inside = 0

  function leave(): void {
    inside--
    const [next] = line
    next?.()
  }

  function admit(): () => void {
    inside++
    let isInside = true
    return () => {
      if (isInside) leave()
      isInside = false
    }
  }

  return {
    get inside() {
      return inside
    },
    get waiting() {
      return line.size
    },
    enter(signal) {
      if (signal?.aborted) return Promise.reject(aborted(signal))
      if (inside < places) return Promise.resolve(admit())
      return new Promise((resolve, reject) => {
        const stop = signal
          ? onAbort(signal, () => {
              line.delete(goIn)
              stop?.()
              reject(aborted(signal))
            })
          : undefined
        const goIn = (): void => {
          line.delete(goIn)
          stop?.()
          resolve(admit())
        }
        line.add(goIn)
      })
    },
  }
}

const aborted = ({ reason }: AbortSignalLike): ModelmountError =>
  new ModelmountError('ABORTED', 'the request was aborted', { cause: reason })

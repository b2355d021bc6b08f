/** Guards that decide later, as long as their callers wait. */

import { ModelmountError } from '../errors.ts'
import { type AbortSignalLike, onAbort } from '../host/abort.ts'
import { type Clock, systemClock } from '../host/clock.ts'

interface Patience {
  readonly signal?: AbortSignalLike | undefined
  /** Milliseconds from now on. */
  readonly timeoutMs?: number | undefined
}

/**
 * The decision, unless the caller has left or its deadline has passed before.
 * @throws ModelmountError `ABORTED`, `DEADLINE_EXCEEDED`
 */
export function whileWaited(
  deciding: Promise<void>,
  { signal, timeoutMs }: Patience,
  clock: Pick<Clock, 'after'> = systemClock,
): Promise<void> {
  if (!signal && timeoutMs === undefined) return deciding
  return new Promise((resolve, reject) => {
    const end = (): void => {
      stop?.()
      timer?.cancel()
    }
    const give = (code: 'ABORTED' | 'DEADLINE_EXCEEDED', message: string) => (): void => {
      end()
      reject(new ModelmountError(code, message))
    }
    const abort = give('ABORTED', 'the request was aborted')
    const late = give('DEADLINE_EXCEEDED', 'the deadline passed before a guard had decided')
    const stop = signal && !signal.aborted ? onAbort(signal, abort) : undefined
    const timer = timeoutMs === undefined ? undefined : clock.after(timeoutMs, late)
    if (signal?.aborted) abort()
    deciding.finally(end).then(resolve, reject)
  })
}

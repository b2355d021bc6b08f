/** How long the steps of a load took, for telemetry. */

import type { Clock } from '../../host/clock.ts'
import type { LoadStep } from '../../telemetry/index.ts'

export interface DoneStep {
  readonly name: LoadStep
  readonly startedAt: number
  readonly endedAt: number
}

export interface LoadTimes {
  /** In the order in which they ended. */
  readonly done: readonly DoneStep[]
  /** Times a step until the returned function is first called. */
  begin(name: LoadStep): () => void
  /** Times a step until its work has ended, well or badly. */
  time<T>(name: LoadStep, work: Promise<T>): Promise<T>
}

export function createLoadTimes(clock: Clock): LoadTimes {
  const done: DoneStep[] = []
  function begin(name: LoadStep): () => void {
    const startedAt = clock.now()
    let ended = false
    return () => {
      if (!ended) done.push({ name, startedAt, endedAt: clock.now() })
      ended = true
    }
  }
  return {
    done,
    begin,
    time(name, work) {
      return work.finally(begin(name))
    },
  }
}

/** The order in which the sessions of one worker do their jobs: in turn, so that none waits for more than one job of each other. */

/** The work of a turn is noted where its host reads it. */
export { type Meters, noteJob } from './seats/meters.ts'

type Job = () => Promise<void>

export interface Line {
  add(job: Job): void
  /** The session has no more jobs. */
  leave(): void
}

export interface Turns {
  /** A line for the jobs of one more session. */
  line(): Line
}

export function createTurns(): Turns {
  const lines: Job[][] = []
  let at = 0
  let isBusy = false

  function next(): Job | undefined {
    for (let i = 0; i < lines.length; i++) {
      at = (at + 1) % lines.length
      const job = lines[at]?.shift()
      if (job) return job
    }
    return undefined
  }

  async function work(): Promise<void> {
    isBusy = true
    for (let job = next(); job; job = next()) {
      await job()
      // Jobs of other sessions may have come: they are received between turns of the event loop.
      if (lines.length > 1) await new Promise<void>((resolve) => setImmediate(resolve))
    }
    isBusy = false
  }

  return {
    line() {
      const jobs: Job[] = []
      lines.push(jobs)
      return {
        add(job) {
          jobs.push(job)
          if (!isBusy) void work()
        },
        leave: () => void lines.splice(lines.indexOf(jobs), 1),
      }
    },
  }
}

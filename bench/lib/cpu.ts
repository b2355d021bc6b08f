/** CPU time of this process and its children. */

import { readdirSync, readFileSync } from 'node:fs'

/** Clock ticks per second in /proc; fixed on every Linux that Node runs on. */
const TICKS_PER_S = 100

/** Milliseconds of CPU so far: threads included, children where /proc can be read. */
export function cpuMs(): number {
  return milliseconds(process.cpuUsage()) + childrenMs(process.pid)
}

/** From Node 22.19 and 23.9 on. */
interface ThreadCpu {
  threadCpuUsage?(): NodeJS.CpuUsage
}

interface ThreadClock {
  readonly name: string
  /** Milliseconds so far. */
  read(): number
}

const milliseconds = ({ user, system }: NodeJS.CpuUsage): number => (user + system) / 1000
const task = `/proc/self/task/${process.pid}`

/** Finest first; each throws where the system does not have it. */
const THREAD_CLOCKS: readonly ThreadClock[] = [
  {
    name: 'process.threadCpuUsage()',
    read() {
      const usage = (process as ThreadCpu).threadCpuUsage?.()
      if (!usage) throw new Error('not in this Node')
      return milliseconds(usage)
    },
  },
  {
    name: 'schedstat',
    // Nanoseconds on a CPU come first: https://docs.kernel.org/scheduler/sched-stats.html
    read: () => Number(readFileSync(`${task}/schedstat`, 'latin1').split(' ')[0]) / 1e6,
  },
  {
    name: 'stat of the thread',
    read: () => ticksOf(readFileSync(`${task}/stat`, 'latin1')).ms,
  },
  { name: 'process.cpuUsage(), all threads', read: () => milliseconds(process.cpuUsage()) },
]

/** CPU time of this process's main thread; of all its threads where the system does not tell. */
export const mainThread: ThreadClock = THREAD_CLOCKS.find(works) as ThreadClock

function works({ read }: ThreadClock): boolean {
  try {
    return read() > 0
  } catch {
    return false
  }
}

function childrenMs(parent: number): number {
  if (process.platform !== 'linux') return 0
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.reduce((sum, pid) => {
    const stat = statOf(pid)
    return stat?.parent === parent ? sum + stat.ms + childrenMs(Number(pid)) : sum
  }, 0)
}

/** Fields after the name, which may hold spaces and brackets: state, parent, ... and at 11 and 12 the ticks in user and kernel mode. */
function ticksOf(stat: string): { readonly parent: number; readonly ms: number } {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { parent: Number(fields[1]), ms: ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_S }
}

function statOf(pid: string): ReturnType<typeof ticksOf> | undefined {
  try {
    return ticksOf(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    // It has ended since the list was read.
    return undefined
  }
}

/** CPU time of this process and its children. */

import { readdirSync, readFileSync } from 'node:fs'

/** Clock ticks per second in /proc; fixed on every Linux that Node runs on. */
const TICKS_PER_S = 100

/** Milliseconds of CPU so far: threads included, children where /proc can be read. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000 + childrenMs(process.pid)
}

/** Milliseconds of CPU of this process's main thread; of all its threads where the system does not tell. */
export function mainThreadMs(): number {
  try {
    // Nanoseconds on a CPU come first: https://docs.kernel.org/scheduler/sched-stats.html
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1').split(' ')[0]) / 1e6
  } catch {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1000
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
function statOf(pid: string): { readonly parent: number; readonly ms: number } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { parent: Number(fields[1]), ms: ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_S }
  } catch {
    // It has ended since the list was read.
    return undefined
  }
}

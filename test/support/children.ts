/** Finds the child processes of the process tier, as an operator would. Linux only. */

import { readdirSync, readFileSync } from 'node:fs'

const stat = (pid: string): string[] => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return []
  }
}

export function isAlive(pid: number): boolean {
  const [state] = stat(String(pid))
  return state !== undefined && state !== 'Z'
}

/** Living model workers whose parent is `parent`. */
export function workerPids(parent = process.pid): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && Number(stat(entry)[1]) === parent && isAlive(Number(entry)))
    .filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('worker.cjs'))
    .map(Number)
}

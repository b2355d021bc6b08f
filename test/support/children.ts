/** Finds the child processes of the process tier, as an operator would. Linux only. */

import { readdirSync, readFileSync } from 'node:fs'
import { onTestFinished } from 'vitest'

const stat = (pid: string): string[] => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return []
  }
}

/** Empty for a process that has ended meanwhile. */
function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1')
  } catch {
    return ''
  }
}

export function isAlive(pid: number): boolean {
  const [state] = stat(String(pid))
  return state !== undefined && state !== 'Z'
}

/**
 * Stops workers where they are, until they are released or killed: they do not answer messages, on any machine and for any wait of the
 * test. A signal for them counts once they go on.
 * @returns lets them go on
 */
export function hold(pids: readonly number[] = workerPids()): () => void {
  for (const pid of pids) {
    process.kill(pid, 'SIGSTOP')
    // The signal takes effect a moment later, and what the worker does until then would be answered.
    while (!'TZ'.includes(stat(String(pid))[0] ?? 'Z'));
  }
  let held = true
  const release = (): void => {
    if (!held) return
    held = false
    for (const pid of pids) if (isAlive(pid)) process.kill(pid, 'SIGCONT')
  }
  onTestFinished(release)
  return release
}

/** Living model workers whose parent is `parent`. */
export function workerPids(parent = process.pid): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && Number(stat(entry)[1]) === parent && isAlive(Number(entry)))
    .filter((pid) => commandOf(pid).includes('worker.cjs'))
    .map(Number)
}

/**
 * The next worker that is started besides those that are there, in the turn in which that happens: long before it can be done with anything.
 * To be called before what starts it goes on.
 */
export async function nextWorker(before: readonly number[] = workerPids()): Promise<number> {
  for (;;) {
    const found = workerPids().find((pid) => !before.includes(pid))
    if (found !== undefined) return found
    await new Promise((resolve) => setImmediate(resolve))
  }
}

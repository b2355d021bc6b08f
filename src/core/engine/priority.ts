/** Lowers the priority of the worker that calls it, so that the host's event loop is served first. Linux only. */

import { existsSync, readlinkSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'

const SELF = '/proc/thread-self'

/**
 * Threads started later inherit it, so call it before the session is created. On Linux a thread has a priority of its own,
 * and in the first thread of a process its id is the process's; elsewhere the id would be read as that of another process.
 * @returns why it failed, if it did
 */
export function lowerPriority(niceness: number): string | undefined {
  if (niceness === 0) return undefined
  if (process.platform !== 'linux' || !existsSync(SELF)) return 'niceness works on Linux only'
  try {
    const id = Number(readlinkSync(SELF).split('/').at(-1))
    if (!Number.isSafeInteger(id) || id <= 0) return `niceness could not be set: ${SELF} names no thread`
    // Raising a priority needs a privilege, and a host with a low priority wants its workers no higher.
    if (getPriority(id) < niceness) setPriority(id, niceness)
    return undefined
  } catch (error) {
    return `niceness could not be set: ${error instanceof Error ? error.message : String(error)}`
  }
}

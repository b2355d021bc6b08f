/**
 * The probe's process: sends GET requests at fixed times, whether or not the earlier ones were answered, and counts each from the moment it
 * was due. A client that waited for a slow answer would send fewer requests exactly while the server is slow, and report a fine p99.
 */

import { constants, setPriority } from 'node:os'
import { answerParent } from '../lib/child.ts'
import { type Connection, getRequest, openConnection } from '../lib/http-connection.ts'

export interface ProbeAsk {
  readonly port: number
  readonly path: string
  readonly perSecond: number
  readonly ms: number
}

export interface ProbeAnswer {
  /** Milliseconds from due to answered, of every request that was due. */
  readonly latencies: readonly number[]
  readonly failures: number
}

/** Longest wait for answers after the last request; what is missing then counts with the time it had. */
const PATIENCE_MS = 5000

// The probe stands for a client on a machine of its own, so it should not queue for the CPU that it measures. Not everybody may do that.
try {
  setPriority(constants.priority.PRIORITY_HIGH)
} catch {}

answerParent(async ({ port, path, perSecond, ms }: ProbeAsk): Promise<ProbeAnswer> => {
  const request = getRequest(path)
  const total = Math.floor((ms / 1000) * perSecond)
  const idle: Connection[] = await Promise.all(Array.from({ length: 16 }, () => openConnection(port)))
  const latencies: number[] = []
  const pending = new Set<number>()
  let failures = 0
  const start = performance.now()

  async function send(due: number): Promise<void> {
    pending.add(due)
    const connection = idle.pop() ?? (await openConnection(port))
    connection.send(request, (status) => {
      if (status !== 200) failures++
      pending.delete(due)
      latencies.push(performance.now() - due)
      idle.push(connection)
    })
  }

  await new Promise<void>((resolve) => {
    let sent = 0
    const tick = (): void => {
      const now = performance.now()
      while (sent < total && start + (sent * 1000) / perSecond <= now) void send(start + (sent++ * 1000) / perSecond)
      if (sent === total) resolve()
      else setTimeout(tick, start + (sent * 1000) / perSecond - performance.now())
    }
    tick()
  })
  const patience = performance.now() + PATIENCE_MS
  while (pending.size > 0 && performance.now() < patience) await new Promise((resolve) => setTimeout(resolve, 5))
  for (const due of pending) latencies.push(performance.now() - due)
  for (const connection of idle) connection.close()
  return { latencies, failures }
})

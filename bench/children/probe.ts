/**
 * The probe's process: sends GET requests at fixed times, whether or not the earlier ones were answered, and counts each from the moment it
 * was due. A client that waited for a slow answer would send fewer requests exactly while the server is slow, and report a fine p99.
 */

import { constants, setPriority } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { answerParent } from '../lib/child.ts'
import { type Connection, getRequest, openConnection } from '../lib/http-connection.ts'

export type ProbeAsk =
  | { readonly kind: 'connect'; readonly port: number }
  | { readonly kind: 'probe'; readonly path: string; readonly perSecond: number; readonly ms: number }

export interface ProbeAnswer {
  /** Milliseconds from due to answered, of every request that was due. */
  readonly latencies: readonly number[]
  readonly failures: number
}

/**
 * Opened before the load starts, because a Node server accepts one connection per turn of its event loop: on a server with long turns the
 * probe would measure little else. Enough for all requests of some seconds to be under way at once.
 */
const CONNECTIONS = 256
/** Longest wait for answers after the last request; missing ones then count with the time they had. */
const PATIENCE_MS = 5000

// The probe stands for a client on a machine of its own, so it should not queue for the CPU that it measures. Not everybody may do that.
try {
  setPriority(constants.priority.PRIORITY_HIGH)
} catch {}

let connections: Connection[] = []

async function connect(port: number): Promise<void> {
  for (const connection of connections) connection.close()
  connections = await Promise.all(Array.from({ length: CONNECTIONS }, () => openConnection(port)))
}

async function probe(path: string, perSecond: number, ms: number): Promise<ProbeAnswer> {
  const request = getRequest(path)
  const total = Math.floor((ms / 1000) * perSecond)
  const idle = [...connections]
  /** Due and not sent: every connection is busy. */
  const backlog: number[] = []
  const pending = new Set<number>()
  const latencies: number[] = []
  let failures = 0

  function send(connection: Connection, due: number): void {
    connection.send(request, (status) => {
      if (status !== 200) failures++
      pending.delete(due)
      latencies.push(performance.now() - due)
      const next = backlog.shift()
      if (next === undefined) idle.push(connection)
      else send(connection, next)
    })
  }

  const start = performance.now()
  for (let i = 0; i < total; i++) {
    const due = start + (i * 1000) / perSecond
    const wait = due - performance.now()
    if (wait > 0) await sleep(wait)
    pending.add(due)
    const connection = idle.pop()
    if (connection) send(connection, due)
    else backlog.push(due)
  }
  const patience = performance.now() + PATIENCE_MS
  while (pending.size > 0 && performance.now() < patience) await sleep(5)
  for (const due of pending) latencies.push(performance.now() - due)
  return { latencies, failures }
}

answerParent(async (ask: ProbeAsk): Promise<ProbeAnswer> => {
  if (ask.kind === 'probe') return probe(ask.path, ask.perSecond, ask.ms)
  await connect(ask.port)
  return { latencies: [], failures: 0 }
})

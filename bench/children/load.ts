/** The load generator's process: so many connections that each send their next request when the last one is answered. */

import { answerParent } from '../lib/child.ts'
import { type Connection, openConnection } from '../lib/http-connection.ts'

export interface LoadAsk {
  readonly port: number
  readonly connections: number
  readonly ms: number
  /** Sent in rotation. */
  readonly requests: readonly Uint8Array[]
  /** Connections stay open for the next time at this port: opening them is a part of a short run. @default false */
  readonly stay?: boolean
  /** Requests of all connections together, at even times, as far as they are answered in time. @default as many as are answered */
  readonly perSecond?: number
}

export interface LoadAnswer {
  /** Requests per second that were answered with 200. */
  readonly rate: number
  readonly answered: number
  readonly failures: number
}

const staying = new Map<number, readonly Connection[]>()

answerParent(async ({ port, connections, ms, requests, stay = false, perSecond }: LoadAsk): Promise<LoadAnswer> => {
  const buffers = requests.map((bytes) => Buffer.from(bytes))
  const open = staying.get(port) ?? (await Promise.all(Array.from({ length: connections }, () => openConnection(port))))
  let [sent, answered, failures] = [0, 0, 0]
  const start = performance.now()
  await Promise.all(
    open.map(
      (connection) =>
        new Promise<void>((resolve) => {
          const next = (): void => {
            if (performance.now() - start > ms) {
              resolve()
              return
            }
            const dueIn = perSecond === undefined ? 0 : start + (1000 * sent) / perSecond - performance.now()
            if (dueIn > 1) {
              setTimeout(next, dueIn)
              return
            }
            connection.send(buffers[sent++ % buffers.length] as Buffer, (status) => {
              if (status === 200) answered++
              else failures++
              if (status === 0) resolve()
              else next()
            })
          }
          next()
        }),
    ),
  )
  const seconds = (performance.now() - start) / 1000
  if (stay) staying.set(port, open)
  else for (const connection of open) connection.close()
  return { rate: answered / seconds, answered, failures }
})

/**
 * One keep-alive HTTP/1.1 connection that sends prepared bytes. A client library would take more CPU than some of the servers it
 * measures, from the same cores; here a request costs one write and one search for the header's end.
 */

import { connect, type Socket } from 'node:net'

export interface Connection {
  /** Sends a request; `done` gets the status and the body, or status 0 when the connection broke. One request at a time. */
  send(request: Buffer, done: (status: number, body: Buffer) => void): void
  close(): void
}

const HEADER_END = Buffer.from('\r\n\r\n')
const NOTHING = Buffer.alloc(0)

export function openConnection(port: number): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let received: Buffer = NOTHING
    let waiting: ((status: number, body: Buffer) => void) | undefined

    function settle(status: number, body: Buffer): void {
      const done = waiting
      waiting = undefined
      received = NOTHING
      done?.(status, body)
    }

    socket.on('data', (chunk: Buffer) => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk])
      const end = received.indexOf(HEADER_END)
      if (end < 0) return
      const header = received.toString('latin1', 0, end)
      const length = /\r\ncontent-length: (\d+)/i.exec(header)?.[1]
      if (length === undefined) throw new Error(`a response without content-length: ${header}`)
      const body = end + HEADER_END.length
      if (received.length >= body + Number(length)) settle(Number(header.slice(9, 12)), received.subarray(body))
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      settle(0, NOTHING)
      reject(new Error(`no connection to port ${port}`))
    })
    socket.on('connect', () =>
      resolve({
        send(request, done) {
          if (socket.destroyed) return done(0, NOTHING)
          waiting = done
          socket.write(request)
        },
        close: () => socket.destroy(),
      }),
    )
  })
}

export function getRequest(path: string): Buffer {
  return Buffer.from(`GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`)
}

export function postRequest(path: string, body: unknown): Buffer {
  const text = JSON.stringify(body)
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  )
}

/** One request on a connection of its own, for looking at the answer. */
export async function sendOnce(port: number, request: Buffer): Promise<{ readonly status: number; readonly body: string }> {
  const connection = await openConnection(port)
  return new Promise((resolve) =>
    connection.send(request, (status, body) => {
      connection.close()
      resolve({ status, body: body.toString() })
    }),
  )
}

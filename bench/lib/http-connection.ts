/**
 * One keep-alive HTTP/1.1 connection that sends prepared bytes. A client library would take more CPU than some of the servers it
 * measures, from the same cores; here a request costs one write and one search for the header's end.
 */

import { connect, type Socket } from 'node:net'

export interface Connection {
  /** Sends a request; `done` gets the status and the body in pieces, or status 0 when the connection broke. One request at a time. */
  send(request: Buffer, done: (status: number, body: readonly Buffer[]) => void): void
  close(): void
}

const HEADER_END = Buffer.from('\r\n\r\n')
const NOTHING = Buffer.alloc(0)

export function openConnection(port: number): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let received: Buffer = NOTHING
    /** Of a body that comes in pieces: the bytes since its header, and the number still to come. */
    let pieces: Buffer[] = []
    let status = 0
    let missing = 0
    let waiting: ((status: number, body: readonly Buffer[]) => void) | undefined

    function settle(result: number, body: readonly Buffer[]): void {
      const done = waiting
      waiting = undefined
      received = NOTHING
      pieces = []
      missing = 0
      done?.(result, body)
    }

    socket.on('data', (chunk: Buffer) => {
      if (missing > 0) {
        pieces.push(chunk)
        missing -= chunk.length
        if (missing <= 0) settle(status, pieces)
        return
      }
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk])
      const end = received.indexOf(HEADER_END)
      if (end < 0) return
      const header = received.toString('latin1', 0, end)
      const length = /\r\ncontent-length: (\d+)/i.exec(header)?.[1]
      if (length === undefined) throw new Error(`a response without content-length: ${header}`)
      status = Number(header.slice(9, 12))
      pieces = [received.subarray(end + HEADER_END.length)]
      missing = Number(length) - (received.length - end - HEADER_END.length)
      if (missing <= 0) settle(status, pieces)
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      settle(0, [])
      reject(new Error(`no connection to port ${port}`))
    })
    socket.on('connect', () =>
      resolve({
        send(request, done) {
          if (socket.destroyed) return done(0, [])
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

/** An infer request of the Open Inference Protocol's binary extension: a header in JSON, and the bytes of one tensor. */
export function binaryRequest(path: string, header: object, tensor: Uint8Array): Buffer {
  const json = JSON.stringify(header)
  const length = Buffer.byteLength(json)
  const head = `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/octet-stream\r\ninference-header-content-length: ${length}\r\ncontent-length: ${length + tensor.byteLength}\r\n\r\n`
  return Buffer.concat([Buffer.from(head + json), tensor])
}

/** One request on a connection of its own, for looking at the answer. */
export async function sendOnce(port: number, request: Buffer): Promise<{ readonly status: number; readonly body: Buffer }> {
  const connection = await openConnection(port)
  return new Promise((resolve) =>
    connection.send(request, (status, body) => {
      connection.close()
      resolve({ status, body: Buffer.concat(body) })
    }),
  )
}

/** A bare socket that speaks HTTP: for what no client would send, or not at this pace. */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface RawAnswer {
  readonly status: number
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly bytes: Uint8Array
  readonly text: string
}

export interface RawSocket {
  readonly socket: Socket
  /** Writes, and resolves when the kernel has taken it; silent when the connection is gone. */
  send(bytes: string | Uint8Array): Promise<void>
  /** The next answer that has a length; rejects when the connection ends without one. */
  answer(): Promise<RawAnswer>
  readonly closed: Promise<unknown>
}

/** A connection that is destroyed by `socket.destroy()`; until then this side does not end it otherwise. */
export async function openSocket(port: number): Promise<RawSocket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  await once(socket, 'connect')
  let received = Buffer.alloc(0)
  let wake: (() => void) | undefined
  const closed = new Promise((resolve) => socket.once('close', resolve))
  void closed.then(() => wake?.())
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk])
    wake?.()
  })

  function next(): RawAnswer | undefined {
    const end = received.indexOf('\r\n\r\n')
    if (end < 0) return undefined
    const [status = '', ...lines] = received.subarray(0, end).toString('latin1').split('\r\n')
    const headers = Object.fromEntries(
      lines.map((line) => {
        const colon = line.indexOf(':')
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
      }),
    )
    const length = Number(headers['content-length'] ?? 0)
    if (received.length < end + 4 + length) return undefined
    const bytes = received.subarray(end + 4, end + 4 + length)
    received = received.subarray(end + 4 + length)
    return { status: Number(status.split(' ')[1]), headers, bytes, text: bytes.toString('utf8') }
  }

  return {
    socket,
    closed,
    send: (bytes) => new Promise((resolve) => void socket.write(bytes, () => resolve())),
    async answer() {
      for (;;) {
        const found = next()
        if (found) return found
        if (socket.destroyed) throw new Error('the connection ended without an answer')
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
  }
}

/** One piece of a body in chunked transfer coding. */
export function chunk(bytes: string | Uint8Array): Buffer {
  const piece = Buffer.from(bytes)
  return Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')])
}

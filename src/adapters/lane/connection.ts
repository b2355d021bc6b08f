/**
 * One connection in the fast lane: request, answer, request, answer. At the first request that is not plain or not ours the connection goes
 * to `node:http`, with every unanswered byte, and stays there.
 */

import { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { HeldBytes, HttpHandler, HttpRequest, HttpResponse, Identify, Identity } from '../../core/http/types.ts'
import { type BodyFault, bodyFault } from '../body.ts'
import { ClientSignal } from '../client-signal.ts'
import { type BodyCollector, collectorFor, LARGE_PIECE_BYTES } from '../collector.ts'
import { connectionOf } from '../connection.ts'
import { identityOf } from '../identity.ts'
import { latin1, ONE_WRITE_BYTES } from '../latin1.ts'
import { type Head, LONGEST_HEAD, readHead } from './head.ts'
import { headOf } from './written.ts'

/** The handler of a request. */
export interface Destination {
  readonly handler: HttpHandler
  /** Path below the mount point, without query. */
  readonly path: string
  readonly identify?: Identify<IncomingMessage> | undefined
}

/** The connection's view of its lane. */
export interface Surroundings {
  /** Seconds, by the lane's own count. */
  now(): number
  /** The owner of a request target; `undefined` for the app's. */
  find(target: string): Destination | undefined
  /** Gives the socket to `node:http`. */
  handOver(socket: Socket): void
  /** It is closed, or handed over. */
  left(connection: LaneConnection): void
  /** An error of the socket; true if the app handles it. */
  tellError(error: Error, socket: Socket): boolean
  /** The longest head that the app takes, in bytes. */
  longestHead(): number
  /** How long an idle connection is kept, in ms, 0 for no limit; `undefined` once no connection is kept any more. */
  keepAliveMs(): number | undefined
  /** How long a request may take to arrive, in ms, 0 for no limit. */
  requestTimeoutMs(): number
}

const HEAD_END = Buffer.from('\r\n\r\n')
const NOTHING = Buffer.alloc(0)

const isRead = (socket: Socket): boolean => socket.listenerCount('data') > 0 || socket.listenerCount('readable') > 0
const nobody = (): void => {}

/** A request whose body is still arriving. */
interface Arriving {
  readonly head: Head
  readonly to: Destination
  readonly collector: BodyCollector
  /** Memory of its pieces, where these are kept. */
  readonly buffers: Set<ArrayBufferLike>
  readonly timer: NodeJS.Timeout | undefined
  readonly held: HeldBytes
}

/** A request in the app's terms; its body is read already. */
function asMessage({ method, target, headers }: Head, socket: Socket): IncomingMessage {
  const message = new IncomingMessage(socket)
  message.push(null)
  return Object.assign(message, { method, url: target, headers: { ...headers }, httpVersion: '1.1' })
}

type Body = Pick<HttpRequest, 'body' | 'moreChunks' | 'given'>

/** `fresh` until the first request; `refused` while the refusal of a body is made; `gone` once it is closed or handed over. */
type State = 'fresh' | 'idle' | 'arriving' | 'busy' | 'refused' | 'gone'

/**
 * The interface that server-ending helpers expect on a socket: whether an answer is being written, and a way to close the connection after
 * it.
 */
class Exchange {
  readonly headersSent = false
  readonly finished = false
  closes = false

  setHeader(name: string, value: unknown): void {
    if (name.toLowerCase() === 'connection' && value === 'close') this.closes = true
  }
}

export class LaneConnection {
  /** When it became fresh or idle, on the lane's clock. */
  since: number
  state: State = 'fresh'
  readonly #socket: Socket & { _httpMessage?: Exchange | null }
  readonly #lane: Surroundings
  #arriving: Arriving | undefined
  #client: ClientSignal | undefined
  /** Bytes of the request that is being answered. */
  #held: HeldBytes | undefined
  readonly #exchange = new Exchange()
  /** Bytes that arrived after the request that is being answered. */
  #early: Buffer = NOTHING
  /** Heads of one client are mostly the same. */
  #known: { readonly text: string; readonly head: Head } | undefined

  constructor(socket: Socket, lane: Surroundings) {
    this.#socket = socket
    this.#lane = lane
    this.since = lane.now()
    socket.on('error', this.#onError)
    socket.on('close', this.#onClose)
  }

  /** Starts to read. Not at once: other observers of connections must have had their turn. */
  begin(): void {
    const socket = this.#socket
    if (this.state !== 'fresh' || socket.destroyed) return
    // Another listener reads along, and would see handed-over bytes twice.
    if (isRead(socket)) this.handOver(NOTHING)
    else socket.on('end', this.#onEnd).on('data', this.#onData)
  }

  /** @param bytes all unanswered bytes so far */
  handOver(bytes: Buffer): void {
    const socket = this.#socket
    this.state = 'gone'
    socket.off('data', this.#onData)
    socket.off('end', this.#onEnd)
    socket.off('close', this.#onClose)
    socket.off('error', this.#onError)
    socket._httpMessage = null
    socket.pause()
    if (bytes.length > 0) socket.unshift(bytes)
    this.#lane.left(this)
    const readsAlong = isRead(socket)
    this.#lane.handOver(socket)
    // Node takes bytes past the stream, until a listener comes that wants them.
    if (readsAlong) socket.on('data', nobody).off('data', nobody)
    socket.resume()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /** As in `node:http`, a connection without a request so far is not idle, because one is about to come. */
  closeIdle(): void {
    if (this.state === 'idle') this.destroy()
  }

  readonly #onData = (bytes: Buffer): void => {
    // Closing: further bytes are not answered.
    if (this.state === 'gone' || this.state === 'refused') return
    if (this.state === 'arriving') this.#add(bytes)
    else if (this.state === 'busy') this.#keep(bytes)
    else if (!this.#start(bytes)) this.handOver(bytes)
  }

  /** A client that sends ahead must wait: the kernel's buffer is bounded, ours is not. */
  #keep(bytes: Buffer): void {
    this.#early = this.#early.length === 0 ? bytes : Buffer.concat([this.#early, bytes])
    this.#socket.pause()
  }

  /** Takes the request that begins with these bytes; false for one that is not for the lane. */
  #start(bytes: Buffer): boolean {
    const end = bytes.indexOf(HEAD_END)
    if (end < 0 || end > Math.min(LONGEST_HEAD, this.#lane.longestHead())) return false
    const head = this.#headOf(bytes.toString('latin1', 0, end + 2))
    const to = head && this.#lane.find(head.target)
    if (!head || !to || head.length > to.handler.maxBodyBytes) return false
    const from = end + HEAD_END.length
    const available = bytes.length - from
    const held = to.handler.hold()
    // Node answers an excess, and reads the rest away.
    if (!held.fits(head.length)) return false
    if (available < head.length) {
      // Node has the means to ask the app before more of a body is read.
      if (to.identify || to.handler.admit) return false
      this.#await(head, to, held)
      if (available > 0) this.#add(bytes.subarray(from))
      return true
    }
    if (available > head.length) this.#early = bytes.subarray(from + head.length)
    held.add(head.length)
    this.#ask(head, to, held, { body: head.length > 0 ? bytes.subarray(from, from + head.length) : undefined })
    return true
  }

  #headOf(text: string): Head | undefined {
    const known = this.#known
    // The headers belong to the request itself: data about a request is keyed by them.
    if (known?.text === text) {
      const { method, target, headers, length } = known.head
      return { method, target, headers: { ...headers }, length }
    }
    const head = readHead(text)
    if (head) this.#known = { text, head }
    return head
  }

  #await(head: Head, to: Destination, held: HeldBytes): void {
    const limits = [to.handler.bodyTimeoutMs, this.#lane.requestTimeoutMs()].filter((ms) => ms > 0)
    const collector = collectorFor(head.length, true)
    const timer = limits.length > 0 ? setTimeout(() => this.#refuse('too-slow'), Math.min(...limits)) : undefined
    this.state = 'arriving'
    this.#arriving = { head, to, collector, buffers: new Set(), timer, held }
  }

  #add(bytes: Buffer): void {
    const { head, to, collector, buffers, timer, held } = this.#arriving as Arriving
    const missing = head.length - collector.length()
    if (!held.add(Math.min(bytes.length, missing))) {
      this.#refuse('too-much')
      return
    }
    collector.add(bytes.length > missing ? bytes.subarray(0, missing) : bytes)
    // Bytes from the socket have memory of their own.
    if (bytes.length >= LARGE_PIECE_BYTES) buffers.add(bytes.buffer)
    if (bytes.length < missing) return
    if (bytes.length > missing) this.#early = bytes.subarray(missing)
    clearTimeout(timer)
    this.#arriving = undefined
    const { body, moreChunks } = collector.take()
    // The last piece may hold the start of the next request; and others may have read along.
    const isAlone = this.#early.length === 0 && this.#socket.listenerCount('data') === 1
    this.#ask(head, to, held, { body, moreChunks, given: isAlone ? [...buffers] : undefined })
  }

  /** Ends a connection that still has a body to come. */
  #refuse(kind: BodyFault): void {
    const { head, to, timer, held } = this.#arriving as Arriving
    const { maxBodyBytes, bodyTimeoutMs } = to.handler
    clearTimeout(timer)
    held.release()
    this.#arriving = undefined
    this.#exchange.closes = true
    this.state = 'refused'
    const { method, headers } = head
    to.handler
      .refuse(bodyFault(kind, { maxBodyBytes, bodyTimeoutMs }), { method, path: to.path, headers })
      .then((refusal) => {
        if (this.state === 'refused') this.#write(refusal)
      })
      .catch(this.#fail)
  }

  #ask(head: Head, to: Destination, held: HeldBytes, body: Body): void {
    this.state = 'busy'
    const client = new ClientSignal()
    this.#client = client
    this.#held = held
    this.#socket._httpMessage = this.#exchange
    const answered =
      to.identify || to.handler.admit
        ? this.#identified(head, to, held, body, client)
        : this.#handle(head, to, held, body, client)
    answered.then(this.#answer).catch(this.#fail)
  }

  /** Fields by name: a spread behind others costs a microsecond, for every request. */
  #handle(
    { method, headers }: Head,
    { handler, path }: Destination,
    held: HeldBytes,
    { body, moreChunks, given }: Body,
    signal: ClientSignal,
    identity?: Identity,
  ): Promise<HttpResponse> {
    const connection = connectionOf(this.#socket)
    return handler.handle({
      method,
      path,
      headers,
      body,
      moreChunks,
      given,
      held,
      identity,
      admitted: true,
      connection,
      signal,
      acceptsChunks: true,
    })
  }

  async #identified(head: Head, to: Destination, held: HeldBytes, body: Body, client: ClientSignal): Promise<HttpResponse> {
    const { handler, path, identify } = to
    let identity: Identity | undefined
    // The body of a client that has left is not kept until the app has decided.
    const release = (): void => held.release()
    client.addEventListener('abort', release)
    try {
      identity = await identityOf(handler, head.method, path, identify && (() => identify(asMessage(head, this.#socket))))
    } catch (error) {
      return handler.refuse(error, { method: head.method, path, headers: head.headers })
    } finally {
      client.removeEventListener('abort', release)
    }
    return this.#handle(head, to, held, body, client, identity)
  }

  readonly #answer = (response: HttpResponse): void => {
    this.#release()
    if (this.state !== 'busy') return
    this.#write(response)
    // A client that does not read its answers gets no more of them: they would pile up here.
    if (this.#socket.writableNeedDrain) this.#socket.once('drain', this.#next)
    else this.#next()
  }

  #release(): void {
    this.#held?.release()
    this.#held = undefined
  }

  readonly #next = (): void => {
    if (this.state !== 'busy') return
    this.state = 'idle'
    this.since = this.#lane.now()
    this.#socket._httpMessage = null
    if (this.#early.length > 0) this.handOver(this.#early)
  }

  readonly #fail = (): void => {
    this.#release()
    this.#socket.destroy()
  }

  #write({ status, headers, body, moreChunks, discard }: HttpResponse): void {
    const socket = this.#socket
    this.#client = undefined
    const keepAliveMs = this.#exchange.closes ? undefined : this.#lane.keepAliveMs()
    const head = headOf(status, headers, keepAliveMs)
    if (!moreChunks && body.byteLength <= ONE_WRITE_BYTES) socket.write(head + latin1(body), 'latin1')
    else {
      socket.cork()
      socket.write(head, 'latin1')
      socket.write(body)
      for (const piece of moreChunks ?? []) socket.write(piece)
      // The system has it all when the last of it is written.
      if (discard) socket.write(NOTHING, () => void discard())
      socket.uncork()
    }
    if (keepAliveMs !== undefined) return
    this.state = 'gone'
    socket.destroySoon()
  }

  readonly #onEnd = (): void => {
    // Treat a half-closed socket as closed, like `node:http`.
    this.#abort()
    this.#socket.end()
  }

  readonly #onError = (error: Error): void => {
    if (!this.#lane.tellError(error, this.#socket)) this.#socket.destroy()
  }

  readonly #onClose = (): void => {
    this.#abort()
    this.#lane.left(this)
  }

  #abort(): void {
    this.state = 'gone'
    clearTimeout(this.#arriving?.timer)
    this.#arriving?.held.release()
    this.#arriving = undefined
    const client = this.#client
    this.#client = undefined
    client?.abort()
  }
}

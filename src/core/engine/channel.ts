/** The seam between the two tiers: an instance talks to its worker only through this. */

import type { FromWorker, ToWorker } from './messages.ts'
import type { Packet } from './wire/format.ts'

export interface Channel {
  /** Sends a message, or runs in a packet; `transfer` is given away if the tier supports it. */
  post(message: ToWorker | Packet, transfer: ArrayBuffer[]): void
  /** Ends the worker at once, even in the middle of work. Exists only if that is safe: for a child process. */
  readonly kill?: (reason: string) => void
  /** Private memory of the worker; `undefined` once it is gone. Exists only for a process of its own, on Linux. */
  readonly memoryBytes?: () => number | undefined
  /** True where its thread has other sessions, too. Exists where that can be. */
  readonly isShared?: () => boolean
  /** True once a channel that is opened now would lead to a better place, and this one should be closed then. Exists where that can be. */
  readonly isStale?: () => boolean
  /** Ends an idle worker. Must not be called while a load or run is in flight. */
  close(): Promise<void>
}

export interface ChannelEvents {
  onMessage(message: FromWorker | Packet): void
  /**
   * The worker is gone; called once, never after `close()`.
   * @param isInnocent the session of another model was at work
   */
  onExit(reason: string, isInnocent?: boolean): void
  /** A line that native code or Node wrote to the child's stderr or stdout, escaped. */
  onLine(line: string): void
}

export type OpenChannel = (events: ChannelEvents) => Channel

/**
 * Starts a worker while a check still decides whether there is anything to load. Hashing or decrypting a large file takes long;
 * the worker is ready when it ends. It receives nothing before.
 */

import type { Clock } from '../host/clock.ts'
import type { Channel, ChannelEvents, OpenChannel } from './channel.ts'
import { isPacket } from './wire/format.ts'

export interface Prestart {
  /** The worker that was started, for the first caller; new ones for the others. */
  readonly open: OpenChannel
  /** The outcome is known: no further worker is started. */
  settle(): void
  /** The worker is not needed. */
  drop(): void
}

export interface Spare {
  /** `undefined` if it has ended by itself. */
  take(events: ChannelEvents): Channel | undefined
  end(): void
}

/** @param afterMs shorter checks are not worth a worker that may remain unused */
export function prestart(open: OpenChannel, clock: Clock, afterMs: number): Prestart {
  let spare: Spare | undefined
  const timer = clock.after(afterMs, () => {
    try {
      spare = openSpare(open)
    } catch {
      // The load itself will meet and report the same failure.
    }
  })
  function takeSpare(): Spare | undefined {
    timer.cancel()
    const started = spare
    spare = undefined
    return started
  }
  return {
    open: (events) => takeSpare()?.take(events) ?? open(events),
    settle: () => timer.cancel(),
    drop: () => takeSpare()?.end(),
  }
}

export function openSpare(open: OpenChannel): Spare {
  let owner: ChannelEvents | undefined
  let state: 'starting' | 'started' | 'unwanted' | 'gone' = 'starting'
  const channel = open({
    onMessage(message) {
      if (isPacket(message) || message.kind !== 'digested') owner?.onMessage(message)
      else if (state === 'unwanted') void channel.close()
      else state = 'started'
    },
    onExit(reason) {
      state = 'gone'
      owner?.onExit(reason)
    },
    onLine: (line) => owner?.onLine(line),
  })
  // Answered once it has started. Until then it counts as busy: ending a thread in the middle of that may end the process.
  channel.post({ kind: 'digest', files: [] }, [])
  return {
    take(events) {
      if (state === 'gone') return undefined
      owner = events
      return channel
    },
    end() {
      if (state === 'started') void channel.close()
      else if (state === 'starting') state = 'unwanted'
    },
  }
}

/**
 * A worker that starts while it is still being found out whether there is something for it to load. Where that takes long, because a large
 * file is hashed or decrypted, the worker is there by the time it has ended. It is given nothing before.
 */

import type { Clock } from '../host/clock.ts'
import type { Channel, ChannelEvents, OpenChannel } from './channel.ts'

export interface Ahead {
  /** The worker that was started, for the first who asks; new ones for the others. */
  readonly open: OpenChannel
  /** It is known by now: none is started that is not yet. */
  settle(): void
  /** Nobody will ask for it. */
  drop(): void
}

interface Spare {
  /** `undefined` when it has ended by itself. */
  take(events: ChannelEvents): Channel | undefined
  end(): void
}

/** @param afterMs what is shorter than this is not worth a worker that may be in vain */
export function startAhead(open: OpenChannel, clock: Clock, afterMs: number): Ahead {
  let spare: Spare | undefined
  const timer = clock.after(afterMs, () => {
    try {
      spare = openSpare(open)
    } catch {
      // The load itself meets the same, and tells of it.
    }
  })
  function taken(): Spare | undefined {
    timer.cancel()
    const mine = spare
    spare = undefined
    return mine
  }
  return {
    open: (events) => taken()?.take(events) ?? open(events),
    settle: () => timer.cancel(),
    drop: () => taken()?.end(),
  }
}

function openSpare(open: OpenChannel): Spare {
  let owner: ChannelEvents | undefined
  let state: 'starting' | 'started' | 'unwanted' | 'gone' = 'starting'
  const channel = open({
    onMessage(message) {
      if (message.kind !== 'digested') owner?.onMessage(message)
      else if (state === 'unwanted') void channel.close()
      else state = 'started'
    },
    onExit(reason) {
      state = 'gone'
      owner?.onExit(reason)
    },
    onLine: (line) => owner?.onLine(line),
  })
  // Answered once it has started, and until then it counts as busy: whoever ends a thread in the middle of that may end the process.
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

/**
 * Where the instance of a small model runs: on a seat of a shared thread, or in a thread of its own once it needs one. A channel that becomes
 * stale is replaced by its owner, who opens the next one before closing it.
 */

import type { Channel, ChannelEvents, OpenChannel } from '../channel.ts'
import type { FromWorker, ToWorker } from '../messages.ts'
import type { TierInfo } from '../types.ts'
import { isPacket, type Packet } from '../wire/format.ts'
import type { SharedThreads } from './threads.ts'

/** A longer load must not stand between the requests of other models. Small models take a few, and many times that on a busy machine. */
export const LONG_LOAD_MS = 250
/** A load meets a thread that ends or is held up by another model at most so often, and then has a thread of its own. */
const MOST_TRIES = 3

export interface Berth {
  readonly open: OpenChannel
  readonly tier: TierInfo
  /** Sessions of a thread, where the next instance would share one. */
  readonly seats: number | undefined
  /** Calls back when open channels have become stale. */
  onStale(listener: () => void): void
}

interface Deps {
  readonly threads: SharedThreads
  /** Starts a thread of its own. */
  readonly openThread: OpenChannel
  /** The model needs a thread of its own from here on. */
  moved(reason: string): void
}

type Load = Extract<ToWorker, { readonly kind: 'load' }>

export function createBerth({ threads, openThread, moved }: Deps): Berth {
  let own: string | undefined
  let isQuick = false
  let tellStale = (): void => {}

  function leave(reason: string): void {
    if (own !== undefined) return
    own = reason
    moved(reason)
  }

  function open(events: ChannelEvents): Channel {
    return own === undefined ? openSeat(events) : openThread(events)
  }

  function openSeat(events: ChannelEvents): Channel {
    let target: Channel | undefined
    /** Until it is answered. */
    let loading: Load | undefined
    let isShared = false
    let isStale = false
    let tries = 0

    function onAnswer(message: FromWorker | Packet): void {
      if (loading && !isPacket(message) && message.kind === 'loaded') {
        // No requests were held up by it. The next one is tried apart, unless this one was quick.
        isQuick = message.loadMs <= LONG_LOAD_MS
      }
      loading = undefined
      events.onMessage(message)
    }

    /** In a thread of its own. The model stays there unless the load was short. */
    function probe(load: Load): void {
      const channel = openThread({
        onMessage(message) {
          if (!loading || isPacket(message) || message.kind !== 'loaded' || message.loadMs > LONG_LOAD_MS) {
            if (!isPacket(message) && message.kind === 'loaded') leave(loadReason(message.loadMs))
            loading = undefined
            events.onMessage(message)
            return
          }
          isQuick = true
          void channel.close()
          sit(load)
        },
        onExit: (reason) => events.onExit(reason),
        onLine: events.onLine,
      })
      target = channel
      channel.post(load, [])
    }

    function sit(load: Load): void {
      tries++
      const seat = threads.seat({
        onMessage(message) {
          if (target === seat) onAnswer(message)
          // Left behind, and free at last.
          else if (!isPacket(message) && message.kind === 'released') void seat.close()
        },
        onExit(reason, blame) {
          if (target !== seat) return
          if (blame === 'own') leave(`a shared thread ended in the middle of one of its ${loading ? 'loads' : 'runs'}: ${reason}`)
          if (loading && blame !== 'own') again(loading)
          else events.onExit(reason, blame === 'others')
        },
        onCrowd(reason) {
          leave(reason)
          setStale()
        },
        onStall() {
          if (target !== seat) return
          if (!loading) return setStale()
          // Its session is freed once the thread gets there.
          seat.post({ kind: 'release' }, [])
          again(loading)
        },
      })
      target = seat
      isShared = true
      seat.post(alone(load), [])
    }

    function again(load: Load): void {
      if (tries < MOST_TRIES) {
        sit(load)
        return
      }
      target = openThread(events)
      isShared = false
      target.post(load, [])
    }

    function setStale(): void {
      isStale = true
      tellStale()
    }

    return {
      post(message, transfer) {
        if (isPacket(message) || message.kind !== 'load') return target?.post(message, transfer)
        loading = message
        if (threads.serving && !isQuick) probe(message)
        else sit(message)
      },
      isShared: () => isShared,
      isStale: () => isStale,
      close: async () => target?.close(),
    }
  }

  return {
    open,
    get seats() {
      return own === undefined ? threads.seatsEach : undefined
    },
    get tier(): TierInfo {
      return own === undefined
        ? { name: 'shared', reason: 'a small model: it shares a worker thread with others until it needs its own' }
        : { name: 'worker', reason: `one worker thread for each instance: ${own}` }
    },
    onStale(listener) {
      tellStale = listener
    },
  }
}

const loadReason = (loadMs: number): string => `its load took ${Math.round(loadMs)} ms`

/** Threads of one run would be more than the models together need. */
const alone = (load: Load): Load => ({
  ...load,
  settings: { ...load.settings, session: { ...load.settings.session, intraOpNumThreads: 1 } },
})

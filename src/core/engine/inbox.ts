/** The messages of a worker, one at a time. */

export interface Inbox<M> {
  /** A message has come. */
  add(message: M): void
}

interface Deps<M> {
  handle(message: M): Promise<void>
  /** The next message that came meanwhile, taken without a turn of the event loop. */
  take?: (() => M | undefined) | undefined
}

/**
 * Messages in a row that are taken so. Turns of the loop are needed too: Node frees memory of native code there, and delivers other events.
 * One in thirty-two costs nothing that could be measured.
 */
const IN_A_ROW = 32

export function createInbox<M>({ handle, take }: Deps<M>): Inbox<M> {
  const waiting: M[] = []
  let isBusy = false

  async function work(): Promise<void> {
    isBusy = true
    let left = IN_A_ROW
    let message = waiting.shift()
    while (message !== undefined) {
      await handle(message)
      message = waiting.shift()
      if (message === undefined && left-- > 0) message = take?.()
    }
    isBusy = false
  }

  return {
    add(message) {
      waiting.push(message)
      if (!isBusy) void work()
    },
  }
}

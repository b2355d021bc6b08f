/** A child process that hashes and derives: a crash, a hang or a peak of memory there costs no request. */

import { ModelmountError } from '../../errors.ts'
import type { Clock } from '../../host/clock.ts'
import { printable } from '../../host/printable.ts'
import type { OpenChannel } from '../channel.ts'
import type { FromWorker, ToWorker } from '../messages.ts'
import { isPacket } from '../wire/format.ts'

type Answer = Extract<FromWorker, { kind: 'digested' | 'derived' }>

export interface Builder {
  /** sha256 of each file; '' for a missing one. Rejects if the builder fails. */
  digest(files: readonly string[]): Promise<readonly string[]>
  derive(
    request: Omit<Extract<ToWorker, { kind: 'derive' }>, 'kind'>,
    transfer: ArrayBuffer[],
  ): Promise<Extract<Answer, { kind: 'derived' }>>
  end(): Promise<void>
}

/** @param opts.timeoutMs for one answer */
export function openBuilder(open: OpenChannel, clock: Clock, opts: { readonly timeoutMs: number }): Builder {
  let settle: { resolve(answer: Answer): void; reject(error: ModelmountError): void } | undefined
  let failure: ModelmountError | undefined

  function fail(reason: string): void {
    failure ??= new ModelmountError('MODEL_LOAD_FAILED', reason)
    settle?.reject(failure)
  }

  const channel = open({
    onMessage(message) {
      if (isPacket(message)) return
      if (message.kind === 'digested' || message.kind === 'derived') settle?.resolve(message)
      else if (message.kind === 'load-failed') fail(printable(message.message).slice(0, 500))
    },
    onExit: fail,
    onLine() {},
  })

  async function ask(message: ToWorker, transfer: ArrayBuffer[] = []): Promise<Answer> {
    if (failure) throw failure
    const answered = new Promise<Answer>((resolve, reject) => {
      settle = { resolve, reject }
    })
    const timer = clock.after(opts.timeoutMs, () => fail(`it took longer than ${opts.timeoutMs} ms`))
    try {
      channel.post(message, transfer)
      return await answered
    } finally {
      timer.cancel()
      settle = undefined
    }
  }

  return {
    async digest(files) {
      const answer = await ask({ kind: 'digest', files })
      return answer.kind === 'digested' ? answer.digests : []
    },
    async derive(request, transfer) {
      const answer = await ask({ kind: 'derive', ...request }, transfer)
      if (answer.kind !== 'derived') throw new ModelmountError('INTERNAL', 'the builder gave another answer')
      return answer
    },
    async end() {
      fail('the server is closing')
      await channel.close()
    },
  }
}

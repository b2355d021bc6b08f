/** The thread that hashes large inputs: lists of files, or one stream after the other in pieces. */

import { parentPort } from 'node:worker_threads'
import { collect } from './collect.ts'
import { hashAll } from './hash.ts'
import type { HashAnswer, HashAsk } from './hash-thread.ts'

/** Nothing else waits in this thread, so fewer turns are better. */
const PIECE_BYTES = 1024 * 1024

let collector = collect(0)

async function answer(ask: HashAsk): Promise<HashAnswer | undefined> {
  switch (ask.kind) {
    case 'files':
      return { kind: 'hashed', hashed: await hashAll(ask.jobs, PIECE_BYTES) }
    case 'begin':
      collector = collect(ask.maxBytes)
      return undefined
    case 'piece':
      collector.add(ask.piece)
      return { kind: 'taken', bytes: ask.piece.byteLength }
    case 'end': {
      const collected = collector.end()
      collector = collect(0)
      return { kind: 'collected', ...collected }
    }
  }
}

const failed = (error: unknown): HashAnswer => ({
  kind: 'failed',
  message: error instanceof Error ? error.message : String(error),
})

function post(message: HashAnswer | undefined): void {
  if (message) parentPort?.postMessage(message, message.kind === 'collected' ? [message.bytes.buffer] : [])
}

/** In the order of the requests. */
let tail: Promise<void> = Promise.resolve()
parentPort?.on('message', (ask: HashAsk) => {
  tail = tail
    .then(() => answer(ask))
    .catch(failed)
    .then(post)
})

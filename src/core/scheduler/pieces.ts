/** Splits a request with more rows than a run should have, runs the pieces beside other requests, and joins the results. */

import type { TensorRecord } from '../engine/frame.ts'
import { ModelmountError } from '../errors.ts'
import { eitherSignal } from '../host/abort.ts'
import type { Batching } from './batching.ts'
import type { Finished, Ticket } from './entry.ts'
import type { Place } from './place.ts'

/** Pieces are objects of the host's thread: cutting and joining more of them would block it. */
const MOST_PIECES = 100_000

/**
 * @param width most pieces that wait or run at a time; a large request must not fill the queue
 * @param submit queues one piece
 * @throws ModelmountError `INPUT_INVALID` for more rows than can be cut, before any of them runs
 */
export async function inPieces(
  ticket: Ticket,
  { bucket, rows }: Place,
  batching: Batching,
  width: number,
  submit: (piece: Ticket, index: number) => Promise<Finished>,
): Promise<Finished> {
  const cap = batching.capOf(bucket)
  if (rows > cap * MOST_PIECES) throw tooManyRows(rows, cap * MOST_PIECES)
  const sizes = Array.from({ length: Math.ceil(rows / cap) }, (_, i) => Math.min(cap, rows - i * cap))
  const pieces = batching.cut(ticket.run.inputs, sizes)
  if (!pieces)
    throw new ModelmountError('INTERNAL', 'internal error', { cause: new Error('a request could not be cut into pieces') })
  // After one piece has failed, the others are not worth running.
  const failed = new AbortController()
  const { signal, end } = eitherSignal(ticket.signal, failed.signal)
  const finished: Finished[] = []
  let next = 0
  const work = async (): Promise<void> => {
    for (let index = next++; index < pieces.length; index = next++) {
      const inputs = pieces[index] as TensorRecord
      finished[index] = await submit({ ...ticket, run: { inputs, fetches: ticket.run.fetches }, signal }, index)
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(width, pieces.length) }, work))
  } catch (error) {
    failed.abort()
    next = pieces.length
    throw error
  } finally {
    end()
  }
  const last = finished.reduce((later, piece) => (piece.endedAt > later.endedAt ? piece : later))
  return {
    outputs: batching.paste(finished.map(({ outputs }) => outputs)),
    queueMs: finished.reduce((sum, { queueMs }) => sum + queueMs, 0),
    inferMs: finished.reduce((sum, { inferMs }) => sum + inferMs, 0),
    // Not Math.max(...): arguments lie on the stack.
    batchSize: finished.reduce((most, { batchSize }) => Math.max(most, batchSize), 0),
    endedAt: last.endedAt,
    run: last.run,
  }
}

const tooManyRows = (rows: number, most: number): ModelmountError =>
  new ModelmountError(
    'INPUT_INVALID',
    `a request of ${rows} rows is more than the ${most} that one may have here; send several`,
    {
      details: { field: 'inputs', expected: `at most ${most} rows`, got: `${rows} rows` },
    },
  )

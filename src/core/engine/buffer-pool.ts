/**
 * Reused memory for copies of inputs. Most of the cost of a large copy is fresh memory, zeroed and faulted in page by page: into used memory,
 * the same copy takes a fifth of the time. A small one leaves garbage outside the heap: V8 collects the whole heap, for 4 to 30 ms, once some
 * 15 MB of it have come together, which is a thousand rows of 12 KB.
 *
 * The owner of a buffer, step by step:
 *
 * 1. Free: the pool.
 * 2. Taken: the one tensor that is written into it. It lies at the start, and nothing else is in the buffer.
 * 3. Posted with a run: the worker thread. The transfer detaches it here, so that the host cannot even see it.
 * 4. Answered: the worker transfers it back with its reply, and it is free again (`put`).
 *
 * A copy that was joined with others, or written into a message, was never posted; it becomes free with its request's answer
 * (`releaseAfter`).
 * A buffer that does not come back is ordinary garbage, and nothing waits for it: a lost worker takes its buffers along.
 * Callers never get one: results are the worker's fresh memory.
 * Bytes beyond the tensor may belong to an earlier request, so a tensor never ends before its bytes do.
 */

import { totalmem } from 'node:os'
import type { Clock, Timer } from '../host/clock.ts'
import type { Tensor } from '../tensor/types.ts'

type NumericData = Exclude<Tensor['data'], readonly string[]>
type ArrayOf<T extends NumericData> = new (buffer: ArrayBuffer, byteOffset?: number, length?: number) => T

/** Source of memory for the host's copies of inputs. */
export interface BufferPool {
  /** An array of undefined content: its user must write all of it. For one that is posted, and so comes back with the answer. */
  take<T extends NumericData>(ofType: { readonly BYTES_PER_ELEMENT: number } & ArrayOf<T>, length: number): T
  /** The same for an input of a request, which comes back at the latest when the request is answered. Smaller ones are lent, too. */
  lend<T extends NumericData>(ofType: { readonly BYTES_PER_ELEMENT: number } & ArrayOf<T>, length: number): T
  /** A copy in lent memory. */
  copy<T extends NumericData>(data: T): T
}

/** The part that packs messages. */
export interface LendingBufferPool extends BufferPool {
  /** True for the buffer of a taken array: nothing else is in it, although it may be larger than the array. */
  isLent(buffer: ArrayBufferLike): boolean
}

export interface OwnedBufferPool extends LendingBufferPool {
  /** Takes back the buffers that a worker returned. */
  put(buffer: ArrayBuffer): void
  /** Takes back lent inputs that were not posted, once the work is done or has failed: they must not be used any more. */
  releaseAfter(work: Promise<unknown>, inputs: Readonly<Record<string, Tensor>>): void
  /** Bytes of all free buffers. */
  readonly freeBytes: number
  /** Drops free buffers, and all that come back later. */
  close(): void
}

/** Smaller tensors are written into the message, and do not come back with the answer. */
export const POOLED_BYTES = 64 * 1024
/** Up to 4 KB, copies share blocks of memory (`tensor/arena.ts`). */
export const LENT_BYTES = 4 * 1024 + 1

/** Time after which an unused free buffer is dropped. */
const IDLE_MS = 10_000
const MOST_BYTES = 128 * 2 ** 20

/** A sixteenth of the host's memory limit, and no more than the copies of some dozens of large batches. */
function defaultMaxBytes(): number {
  // 0 or more than exists if nothing limits the process.
  const granted = process.constrainedMemory() || Number.POSITIVE_INFINITY
  return Math.min(MOST_BYTES, Math.min(granted, totalmem()) / 16)
}

/** Eight sizes between a power of two and the next: batches of nearly the same size reuse each other's buffers, and little is wasted. */
function sizeFor(bytes: number): number {
  const step = 2 ** (Math.floor(Math.log2(bytes)) - 3)
  return Math.ceil(bytes / step) * step
}

interface Free {
  readonly buffer: ArrayBuffer
  readonly since: number
}

/** @param opts.maxBytes of all free buffers; above it, the longest free ones are dropped */
export function createBufferPool(
  clock: Clock,
  { maxBytes = defaultMaxBytes(), idleMs = IDLE_MS }: { readonly maxBytes?: number; readonly idleMs?: number } = {},
): OwnedBufferPool {
  /** By size; the most recent one is taken first, so that surplus buffers grow old. */
  const free = new Map<number, Free[]>()
  const lent = new WeakSet<ArrayBufferLike>()
  let freeBytes = 0
  let timer: Timer | undefined
  let closed = false

  function allocate(size: number): ArrayBuffer {
    const stack = free.get(size)
    const unused = stack?.pop()
    if (!unused) return new ArrayBuffer(size)
    freeBytes -= size
    return unused.buffer
  }

  const take: BufferPool['take'] = (ofType, length) =>
    length * ofType.BYTES_PER_ELEMENT < POOLED_BYTES
      ? new ofType(new ArrayBuffer(length * ofType.BYTES_PER_ELEMENT))
      : lend(ofType, length)

  const lend: BufferPool['lend'] = (ofType, length) => {
    const bytes = length * ofType.BYTES_PER_ELEMENT
    if (bytes < LENT_BYTES || closed) return new ofType(new ArrayBuffer(bytes))
    const size = sizeFor(bytes)
    if (size > maxBytes) return new ofType(new ArrayBuffer(bytes))
    const buffer = allocate(size)
    lent.add(buffer)
    return new ofType(buffer, 0, length)
  }

  function put(buffer: ArrayBuffer): void {
    const size = buffer.byteLength
    if (closed || size < LENT_BYTES || size > maxBytes || size !== sizeFor(size)) return
    while (freeBytes + size > maxBytes) dropOldest()
    const stack = free.get(size)
    const entry = { buffer, since: clock.now() }
    if (stack) stack.push(entry)
    else free.set(size, [entry])
    freeBytes += size
    timer ??= clock.after(idleMs, expire)
  }

  function dropOldest(): void {
    const [oldest] = [...free.values()].filter((stack) => stack.length > 0).sort((a, b) => sinceOf(a) - sinceOf(b))
    freeBytes -= oldest?.shift()?.buffer.byteLength ?? 0
  }

  const sinceOf = ([first]: readonly Free[]): number => first?.since ?? Number.POSITIVE_INFINITY

  function expire(): void {
    timer = undefined
    const now = clock.now()
    let next = Number.POSITIVE_INFINITY
    for (const [size, stack] of free) {
      while (sinceOf(stack) + idleMs <= now) {
        stack.shift()
        freeBytes -= size
      }
      if (stack.length === 0) free.delete(size)
      else next = Math.min(next, sinceOf(stack))
    }
    if (next < Number.POSITIVE_INFINITY) timer = clock.after(next + idleMs - now, expire)
  }

  return {
    take,
    lend,
    copy(data) {
      if (data.byteLength < LENT_BYTES) return data.slice() as typeof data
      const copy = lend(data.constructor as { readonly BYTES_PER_ELEMENT: number } & ArrayOf<typeof data>, data.length)
      copy.set(data as never)
      return copy
    },
    isLent: (buffer) => lent.has(buffer),
    put,
    releaseAfter(work, inputs) {
      let held: ArrayBufferLike[] | undefined
      // Object.keys, because `for in` is slow on objects without a prototype.
      for (const name of Object.keys(inputs)) {
        const tensor = inputs[name]
        if (!tensor || tensor.type === 'string' || tensor.data.byteLength < LENT_BYTES) continue
        if (!lent.has(tensor.data.buffer)) continue
        held ??= []
        held.push(tensor.data.buffer)
      }
      if (!held) return
      const loans = held
      const release = (): void => {
        // Posted ones are detached by now, too small for `put`.
        for (const buffer of loans) if (lent.delete(buffer)) put(buffer as ArrayBuffer)
      }
      work.then(release, release)
    },
    get freeBytes() {
      return freeBytes
    },
    close() {
      closed = true
      timer?.cancel()
      free.clear()
      freeBytes = 0
    },
  }
}

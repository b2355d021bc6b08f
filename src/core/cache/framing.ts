/**
 * Writes values so that they can be read in one way only. Every value of variable length carries its length in front.
 * Two different sequences of the same schema therefore never produce the same bytes. Keys and stored results use it.
 */

export interface Framing {
  /** Eight bytes; exact for every integer that an array length or a dimension can be. */
  number(value: number): void
  /** UTF-16, unlike UTF-8 exact for halves of surrogate pairs too. */
  text(value: string): void
  bytes(value: Uint8Array): void
  /** Passes on the gathered bytes. */
  end(): void
}

const SCRATCH_BYTES = 8 * 1024
/** From this size bytes are passed on unchanged: copying them would cost more than the extra call. */
const DIRECT_BYTES = 2 * 1024

/** All calls here are synchronous, so all framings share one buffer. */
const scratch = Buffer.alloc(SCRATCH_BYTES)

/** @param sink receives the bytes in order. A chunk is valid only during the call; the sink must not start another framing. */
export function createFraming(sink: (chunk: Uint8Array) => void): Framing {
  let used = 0

  function end(): void {
    if (used > 0) sink(scratch.subarray(0, used))
    used = 0
  }

  function reserve(bytes: number): void {
    if (used + bytes > SCRATCH_BYTES) end()
  }

  function number(value: number): void {
    reserve(8)
    used = scratch.writeDoubleLE(value, used)
  }

  function raw(value: Uint8Array): void {
    if (value.byteLength >= DIRECT_BYTES) {
      end()
      sink(value)
      return
    }
    reserve(value.byteLength)
    scratch.set(value, used)
    used += value.byteLength
  }

  return {
    number,
    text(value) {
      const bytes = value.length * 2
      number(bytes)
      if (bytes >= DIRECT_BYTES) {
        raw(Buffer.from(value, 'utf16le'))
        return
      }
      reserve(bytes)
      used += scratch.write(value, used, 'utf16le')
    },
    bytes(value) {
      number(value.byteLength)
      raw(value)
    },
    end,
  }
}

/** All bytes that `write` frames, in one array. */
export function framed(write: (framing: Framing) => void): Uint8Array {
  const chunks: Uint8Array[] = []
  const framing = createFraming((chunk) => chunks.push(Uint8Array.from(chunk)))
  write(framing)
  framing.end()
  return Buffer.concat(chunks)
}

/** Reads the output of a {@link Framing}. Past the end, every reader returns `undefined`, and keeps doing so. */
export interface Unframing {
  number(): number | undefined
  /** A number that can be a count: an integer from 0 to `max`. */
  count(max: number): number | undefined
  text(): string | undefined
  bytes(): Uint8Array | undefined
  atEnd(): boolean
}

export function createUnframing(source: Uint8Array): Unframing {
  const buffer = Buffer.from(source.buffer, source.byteOffset, source.byteLength)
  let at = 0

  function number(): number | undefined {
    if (at + 8 > buffer.length) {
      at = buffer.length + 1
      return undefined
    }
    const value = buffer.readDoubleLE(at)
    at += 8
    return value
  }

  function count(max: number): number | undefined {
    const value = number()
    return value !== undefined && Number.isInteger(value) && value >= 0 && value <= max ? value : undefined
  }

  function bytes(): Buffer | undefined {
    const length = count(buffer.length - at - 8)
    if (length === undefined) {
      at = buffer.length + 1
      return undefined
    }
    at += length
    return buffer.subarray(at - length, at)
  }

  return {
    number,
    count,
    bytes,
    text: () => bytes()?.toString('utf16le'),
    atEnd: () => at === buffer.length,
  }
}

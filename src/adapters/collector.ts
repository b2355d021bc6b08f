/** Assembles a body from its pieces. */

/** Most bytes reserved for an announced length: a client that announces 64 MiB and sends a byte gets no more than this. */
const TRUSTED_BYTES = 1024 * 1024

export interface Collected {
  readonly body: Uint8Array
  /** The pieces after `body`. */
  readonly moreChunks?: readonly Uint8Array[]
}

/** Bytes that come in pieces. They are copied as they come: a million pieces of one byte cost a megabyte, not a million views. */
export interface Collector {
  add(piece: Uint8Array): void
  /** Bytes so far. A function: V8 makes a hidden class for every object literal with a getter. */
  length(): number
  take(): Uint8Array
}

/** @param announced the length that the client promised, a hint; not a number if it promised none */
export function createCollector(announced = Number.NaN): Collector {
  let bytes: Uint8Array | undefined
  let owned = false
  let length = 0

  function makeRoom(needed: number): void {
    const grown = Math.max(needed, 2 * length, Math.min(announced || 0, TRUSTED_BYTES))
    // Announced lengths are mostly true: the last step of growth then fits exactly.
    const size = announced >= needed && announced < grown ? announced : grown
    const larger = Buffer.allocUnsafeSlow(size)
    if (bytes) larger.set(bytes.subarray(0, length))
    bytes = larger
    owned = true
  }

  return {
    length: () => length,
    add(piece) {
      if (length === 0) {
        // Most bodies are one piece, which needs no copy.
        bytes = piece
        owned = false
      } else {
        if (!bytes || !owned || bytes.length < length + piece.length) makeRoom(length + piece.length)
        bytes?.set(piece, length)
      }
      length += piece.length
    },
    take: () => bytes?.subarray(0, length) ?? new Uint8Array(0),
  }
}

/** A body in the form that is handed on. */
export interface BodyCollector extends Pick<Collector, 'add' | 'length'> {
  take(): Collected
}

/** Pieces from this size on are kept as they are; smaller ones between them are joined, so that there are never many. */
export const LARGE_PIECE_BYTES = 4 * 1024

/** A body whose large pieces stay as they came, for code that copies out of them. */
function createPieces(): BodyCollector {
  const pieces: Uint8Array[] = []
  let small = createCollector()
  let length = 0

  function endSmall(): void {
    if (small.length() === 0) return
    pieces.push(small.take())
    small = createCollector()
  }

  return {
    length: () => length,
    add(piece) {
      length += piece.length
      if (piece.length < LARGE_PIECE_BYTES) return small.add(piece)
      endSmall()
      pieces.push(piece)
    },
    take() {
      endSmall()
      const [body = new Uint8Array(0), ...moreChunks] = pieces
      return moreChunks.length > 0 ? { body, moreChunks } : { body }
    },
  }
}

/**
 * @param announced the length that the client promised; not a number if it promised none
 * @param inPieces whether a body that comes in large pieces may stay in them
 */
export function collectorFor(announced: number, inPieces: boolean): BodyCollector {
  if (inPieces) return createPieces()
  const collector = createCollector(announced)
  return { ...collector, take: () => ({ body: collector.take() }) }
}

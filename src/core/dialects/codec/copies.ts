/** Copying of large tensors, a slice between two turns of the event loop. */

import type { Steps } from './write-json.ts'

export interface Copies {
  /** Copies `source` over the equally long `target`, at once or later. */
  add(target: Uint8Array, source: Uint8Array): void
}

export interface LaterCopies extends Copies {
  /** Bytes that were copied at once. */
  readonly atOnce: number
  /** Bytes that were left for later. */
  readonly bytes: number
  /** Copies them; until then their targets have undefined content. Yields the bytes of each slice. */
  copy(): Steps<void>
}

/** Bytes that are copied between two turns of the event loop: a third of a millisecond, most of it for pages that are new. An image of 224 x 224 fits. */
const SLICE_BYTES = 640 * 1024

/** Copies the first slice at once, as most requests have no more, and leaves the rest for later. */
export const createLaterCopies = (): LaterCopies => new Slices()

/** A class, because V8 makes a hidden class for every object literal with a getter. */
class Slices implements LaterCopies {
  #later: { readonly target: Uint8Array; readonly source: Uint8Array }[] | undefined
  atOnce = 0
  bytes = 0

  add(target: Uint8Array, source: Uint8Array): void {
    if (this.atOnce + source.byteLength <= SLICE_BYTES) {
      this.atOnce += source.byteLength
      target.set(source)
    } else {
      this.bytes += source.byteLength
      this.#later ??= []
      this.#later.push({ target, source })
    }
  }

  *copy(): Steps<void> {
    // The first slice is this turn's, like what was copied at once.
    let slice = this.atOnce
    for (const { target, source } of this.#later ?? []) {
      for (let at = 0; at < source.byteLength; ) {
        const part = source.subarray(at, at + SLICE_BYTES - slice)
        target.set(part, at)
        at += part.byteLength
        slice += part.byteLength
        if (slice < SLICE_BYTES) continue
        yield slice
        slice = 0
      }
    }
  }
}

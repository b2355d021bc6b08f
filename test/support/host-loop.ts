/**
 * An event loop that says what a test wants, for servers of src/. With it every model whose runs may happen on the host gets there at once, on a
 * machine of any load. A test file uses it by `vi.mock` of `src/core/engine/inline/loop.ts` and of `limits.ts` beside it.
 */

import type { HostLoop } from '../../src/core/engine/inline/loop.ts'

let free = true

/** `calm` is whether it has room. */
export const loop: HostLoop & { calm: boolean } = {
  calm: true,
  isCalm: () => loop.calm,
  get free() {
    return free
  },
  enter() {
    free = false
  },
  leave() {
    free = true
  },
}

export const hostLoop = (): HostLoop => loop

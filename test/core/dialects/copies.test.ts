import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createLaterCopies } from '../../../src/core/dialects/codec/copies.ts'

const SLICE_BYTES = 640 * 1024

test('every byte arrives, and no turn copies more than a slice', () => {
  const pieces = fc.array(fc.nat({ max: 900_000 }), { maxLength: 8 })
  fc.assert(
    fc.property(pieces, (sizes) => {
      const copies = createLaterCopies()
      const made = sizes.map((size, i) => {
        const source = new Uint8Array(size).fill(1 + (i % 250))
        const target = new Uint8Array(size)
        copies.add(target, source)
        return { source, target }
      })
      expect(copies.atOnce).toBeLessThanOrEqual(SLICE_BYTES)
      expect(copies.atOnce + copies.bytes).toBe(sizes.reduce((sum, size) => sum + size, 0))
      // Bytes arrive in their order.
      const arrived = (): number =>
        made.reduce((sum, { target }) => sum + (target.at(-1) === 0 ? target.indexOf(0) : target.length), 0)
      let before = 0
      for (const slice of copies.copy()) {
        expect(slice).toBeLessThanOrEqual(SLICE_BYTES)
        const now = arrived()
        // The first turn copies what was copied at once, and the first slice.
        expect(now - before).toBeLessThanOrEqual(SLICE_BYTES)
        before = now
      }
      for (const { source, target } of made) expect(Buffer.compare(source, target)).toBe(0)
    }),
    { numRuns: 20 },
  )
})

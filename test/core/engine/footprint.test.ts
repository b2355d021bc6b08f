import { describe, expect, test } from 'vitest'
import { guessFootprint, measurePrivateBytes } from '../../../src/core/engine/footprint.ts'

const MIB = 1024 * 1024

describe('what instances take', () => {
  test.each([
    ['raw', 'thread', 100, { perInstanceBytes: 116 * MIB, sharedBytes: 0 }],
    ['packed', 'thread', 100, { perInstanceBytes: 216 * MIB, sharedBytes: 0 }],
    ['packed', 'process', 100, { perInstanceBytes: 248 * MIB, sharedBytes: 0 }],
    // Memory that malloc keeps in a thread does not grow with the model.
    ['mapped', 'thread', 100, { perInstanceBytes: 80 * MIB, sharedBytes: 100 * MIB }],
    ['mapped', 'thread', 4000, { perInstanceBytes: 80 * MIB, sharedBytes: 4000 * MIB }],
    ['mapped', 'process', 100, { perInstanceBytes: 60 * MIB, sharedBytes: 100 * MIB }],
    ['mapped', 'process', 5, { perInstanceBytes: 53 * MIB, sharedBytes: 5 * MIB }],
  ] as const)('%s weights, tier %s, %i MiB', (holding, isolation, mebibytes, expected) => {
    expect(guessFootprint(mebibytes * MIB, isolation, holding)).toEqual({ ...expected, basis: 'weights' })
  })

  test('the largest one that can be measured counts', () => {
    expect(measurePrivateBytes([])).toBeUndefined()
    expect(measurePrivateBytes([{ memoryBytes: undefined }])).toBeUndefined()
    expect(measurePrivateBytes([{ memoryBytes: 3 }, { memoryBytes: undefined }, { memoryBytes: 7 }])).toBe(7)
  })
})

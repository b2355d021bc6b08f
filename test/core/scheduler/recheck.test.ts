/** Rows that shared a run are run again alone, now and then. */

import { describe, expect, test } from 'vitest'
import { ModelmountError } from '../../../src/core/errors.ts'
import { createRecheck } from '../../../src/core/scheduler/recheck.ts'
import type { Tensor } from '../../../src/core/tensor/types.ts'
import { sameWithin } from '../../../src/core/trial/compare.ts'

const floats = (...data: number[]): Tensor => ({ type: 'float32', dims: [data.length], data: Float32Array.from(data) })
const member = (x: number, rows = 1, bytes = 4) => ({ run: { inputs: { x: floats(x) }, fetches: ['y'] }, rows, bytes })
const pieceOf = (y: number) => ({ y: floats(y) })
/** 1 draws the very next row. */
const always = (): number => 1
const ready = (random: () => number = always) => {
  const recheck = createRecheck({ same: sameWithin, random })
  recheck.ran(1e6)
  return recheck
}

describe('which', () => {
  test('one row in 4,096 on average, of whichever request', () => {
    let state = 1
    const recheck = ready(() => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return (state + 1) / 2 ** 32
    })
    let checks = 0
    const places = new Set<unknown>()
    for (let i = 0; i < 100_000; i++) {
      const check = recheck.choose([member(0), member(1), member(2), member(3)], [0, 1, 2, 3].map(pieceOf), 0)
      if (!check) continue
      checks++
      places.add(check.run.inputs.x?.data[0])
    }
    expect(checks).toBeGreaterThan(70)
    expect(checks).toBeLessThan(130)
    expect(places).toEqual(new Set([0, 1, 2, 3]))
  })

  test('rows of a request count', () => {
    const recheck = ready(() => (1 - 1 / 4096) ** 9.5)
    const many = [member(1, 4), member(2, 5), member(3, 1)]
    expect(recheck.choose(many, [1, 2, 3].map(pieceOf), 0)?.run.inputs).toEqual({ x: floats(3) })
  })

  test('nobody can tell by default', () => {
    const until = (): number => {
      const recheck = createRecheck({ same: sameWithin })
      recheck.ran(1e6)
      for (let i = 0; ; i++) if (recheck.choose([member(0)], [pieceOf(0)], 0)) return i
    }
    expect(new Set(Array.from({ length: 8 }, until)).size).toBeGreaterThan(1)
  })

  test('none with inputs above 1 MiB', () => {
    expect(ready().choose([member(1, 1, 2 ** 20 + 1)], [pieceOf(1)], 0)).toBeUndefined()
    expect(ready().choose([member(1, 1, 2 ** 20)], [pieceOf(1)], 0)).toBeDefined()
  })

  test('at most 1 % of the time of all runs', () => {
    const recheck = createRecheck({ same: sameWithin, random: always })
    recheck.ran(99)
    expect(recheck.choose([member(1)], [pieceOf(1)], 1)).toBeUndefined()
    recheck.ran(1)
    const check = recheck.choose([member(1)], [pieceOf(1)], 1)
    expect(check).toBeDefined()
    if (check) recheck.judge(check, { outputs: pieceOf(1), inferMs: 1 })
    expect(recheck.choose([member(1)], [pieceOf(1)], 1)).toBeUndefined()
    recheck.ran(100)
    expect(recheck.choose([member(1)], [pieceOf(1)], 1)).toBeDefined()
  })

  test('inputs and answers are copies: the caller may do with its own what it likes', () => {
    const [one, piece] = [member(1), pieceOf(5)]
    const check = ready().choose([one], [piece], 0)
    ;(one.run.inputs.x.data as Float32Array)[0] = 9
    ;(piece.y.data as Float32Array)[0] = 9
    expect(check).toMatchObject({ run: { inputs: { x: floats(1) } }, answered: { y: floats(5) } })
  })
})

describe('what comes of it', () => {
  const judged = (...alone: readonly number[]) => {
    const recheck = ready()
    return alone.map((y) => {
      const check = recheck.choose([member(1)], [pieceOf(1)], 0)
      return check && recheck.judge(check, { outputs: pieceOf(y), inferMs: 0 })
    })
  }

  test('the second difference is a reason, the first is none', () => {
    expect(judged(1, 1.1, 1, 1.1)).toEqual([undefined, undefined, undefined, expect.stringContaining("output 'y' of a row")])
  })

  test('rounding is no difference', () => {
    expect(judged(1.0005, 0.9995, 1.0001)).toEqual([undefined, undefined, undefined])
  })

  test('a run that fails says nothing', () => {
    const recheck = ready()
    for (let i = 0; i < 3; i++) {
      const check = recheck.choose([member(1)], [pieceOf(1)], 0)
      const error = new ModelmountError('INFERENCE_FAILED', 'no')
      expect(check && recheck.judge(check, { error, inferMs: 0 })).toBeUndefined()
    }
  })
})

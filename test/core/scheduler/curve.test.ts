import { expect, test } from 'vitest'
import { createCurve } from '../../../src/core/scheduler/curve.ts'

test('knows nothing before it has seen a run', () => {
  expect(createCurve().estimate(1)).toBeUndefined()
  expect(createCurve().fit).toBeUndefined()
})

test('finds base and slope', () => {
  const curve = createCurve()
  for (const n of [1, 8, 32, 64, 2, 16]) curve.observe(n, 4 + 0.5 * n)
  expect(curve.fit?.baseMs).toBeCloseTo(4)
  expect(curve.fit?.perRowMs).toBeCloseTo(0.5)
  expect(curve.estimate(128)).toBeCloseTo(68)
})

test('one size seen promises nothing of larger ones', () => {
  const curve = createCurve()
  for (let i = 0; i < 10; i++) curve.observe(4, 8)
  expect(curve.estimate(4)).toBeCloseTo(8)
  expect(curve.estimate(8)).toBeCloseTo(16)
})

test('never estimates less than nothing', () => {
  const curve = createCurve()
  for (const [n, ms] of [
    [1, 10],
    [64, 5],
    [32, 1],
  ] as const)
    curve.observe(n, ms)
  for (const n of [1, 10, 1000]) expect(curve.estimate(n)).toBeGreaterThan(0)
})

test('believes a model that became three times slower within a hundred runs', () => {
  const curve = createCurve()
  for (let i = 0; i < 1000; i++) curve.observe(1 + (i % 64), 1 + 0.1 * (1 + (i % 64)))
  for (let i = 0; i < 100; i++) curve.observe(1 + (i % 64), 3 * (1 + 0.1 * (1 + (i % 64))))
  expect(curve.estimate(64)).toBeGreaterThan(0.9 * 3 * 7.4)
})

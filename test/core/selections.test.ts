/** Lists of outputs: equal ones are one list, and no caller makes the table grow. */

import { expect, test } from 'vitest'
import { createSelections } from '../../src/core/predict/selections.ts'

const NAMES = ['hidden', 'pooled', 'attention']

test('equal lists are one list, in the order of the request', () => {
  const { of, all } = createSelections(NAMES)
  expect(of(['pooled'])).toBe(of(['pooled']))
  expect(of(['pooled', 'hidden'])).toBe(of(['pooled', 'hidden']))
  expect(of(['pooled', 'hidden'])).toEqual(['pooled', 'hidden'])
  expect(of(['hidden', 'pooled'])).toEqual(['hidden', 'pooled'])
  expect([of(undefined), of([])]).toEqual([all, all])
  expect(all).toEqual(NAMES)
})

test('each name counts once, and a list that a caller changes afterwards does not matter', () => {
  const { of } = createSelections(NAMES)
  const mine = ['pooled', 'pooled']
  expect(of(mine)).toEqual(['pooled'])
  mine[1] = 'hidden'
  expect(of(mine)).toEqual(['pooled', 'hidden'])
  expect(of(['pooled', 'pooled'])).toEqual(['pooled'])
})

test('an unknown name is none, wherever it stands', () => {
  const { of } = createSelections(NAMES)
  expect([of(['other']), of(['pooled', 'other']), of(['__proto__'])]).toEqual([undefined, undefined, undefined])
  expect(of(['pooled'])).toEqual(['pooled'])
})

test('lists beyond the bound are right, and not kept', () => {
  const names = Array.from({ length: 300 }, (_, i) => `y${i}`)
  const { of } = createSelections(names)
  const first = of(['y0'])
  for (const name of names) expect(of([name])).toEqual([name])
  expect(of(['y0'])).toBe(first)
  expect(of(['y299'])).not.toBe(of(['y299']))
  expect(of(['y299', 'y299'])).toEqual(['y299'])
})

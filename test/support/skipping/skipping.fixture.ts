/** A suite that skips in every way there is: habits.test.ts runs it. */

import { describe, expect, test } from 'vitest'
import { needs } from '../needs.ts'

const NOTHING = needs('unicorn', false)

test('passes', () => expect(1).toBe(1))
test('needs something', NOTHING, () => {})
describe('all of these need something', NOTHING, () => {
  test.each([1, 2])('number %i', () => {})
})
test('says so by itself', ({ skip }) => skip('the moon is not full'))
test.skip('says nothing', () => {})
test('is there', needs('numbers', true), () => expect(2).toBe(2))

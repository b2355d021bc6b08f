/** Paths that are remembered stay under a bound, whatever is asked for. */

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { remembering } from '../../../src/core/http/remembered.ts'

const BOUNDS = { most: 8, longest: 20 }
const search = (path: string): { readonly path: string } | undefined => (path.startsWith('/v2/') ? { path } : undefined)

test('over any sequence of requests the bound holds, and each finds what a search finds', () => {
  const path = fc.oneof(
    fc.nat({ max: 12 }).map((n) => `/v2/${n}`),
    fc.string({ maxLength: 30 }).map((rest) => `/v2/${rest}`),
    fc.string({ maxLength: 30 }),
  )
  fc.assert(
    fc.property(fc.array(path, { minLength: 30, maxLength: 80 }), (paths) => {
      const memory = remembering(search, BOUNDS)
      for (const one of paths) {
        expect(memory.find(one)).toEqual(search(one))
        expect(memory.size).toBeLessThanOrEqual(BOUNDS.most)
      }
    }),
  )
})

test('what is short and leads somewhere is searched for once; long paths and dead ends are never kept', () => {
  let searches = 0
  const memory = remembering((path) => {
    searches++
    return search(path)
  }, BOUNDS)
  for (let i = 0; i < 3; i++) memory.find('/v2/models')
  expect([searches, memory.size]).toEqual([1, 1])
  for (let i = 0; i < 3; i++) for (const path of [`/v2/${'x'.repeat(40)}`, '/nowhere']) memory.find(path)
  expect([searches, memory.size]).toEqual([7, 1])
})

/** The list of dialects, and all that is made from it. */

import { expect, expectTypeOf, test } from 'vitest'
import { DIALECTS, type Dialect, decodersOf, ownerOf } from '../../../src/core/dialects/index.ts'
import { type DialectOptions, type HttpDialect, ROOTS, USUAL } from '../../../src/core/dialects/names.ts'

type Listed = (typeof DIALECTS)[number]
type OptionsOf<D> = D extends Dialect<string, infer Options> ? Options : never

test('the generated names, types and roots are those of the list', () => {
  expectTypeOf<HttpDialect>().toEqualTypeOf<Listed['name']>()
  expectTypeOf<keyof Omit<DialectOptions, 'dialects'>>().toEqualTypeOf<Listed extends infer D ? KeysOf<OptionsOf<D>> : never>()
  expect(ROOTS).toEqual(Object.fromEntries(DIALECTS.map(({ name, roots }) => [name, roots])))
  expect(USUAL).toEqual([DIALECTS[0].name])
})

type KeysOf<T> = T extends unknown ? keyof T : never

test('no two dialects share a decoder’s name or a path', () => {
  const decoders = DIALECTS.flatMap(({ decoders }) => [...decoders])
  expect(decodersOf(DIALECTS).size).toBe(decoders.length)
  for (const dialect of DIALECTS)
    for (const root of dialect.roots) {
      const owners = DIALECTS.filter((other) => ownerOf(other)(root.replace('*', 'x')))
      expect([root, owners.map(({ name }) => name)]).toEqual([root, [dialect.name]])
    }
})

/** One declaration of each option: the interface, its words and the files that are made from them agree. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { boolean, type Declared, integer, oneOf } from '../../../src/core/options/kinds.ts'
import { describedOptions, modelSchema, optionsReference, readDocs } from '../../../tools/options-docs.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8')
const docs = readDocs()

test.each([
  ['model.schema.json', modelSchema],
  ['docs/reference/options.md', optionsReference],
])('%s is what npm run generate writes', (file, make) => {
  expect(make(docs)).toBe(read(file))
})

/** As it stands in a doc comment. */
const written = (value: unknown): string =>
  typeof value === 'string' ? `'${value}'` : Array.isArray(value) ? `[${value.map(written).join(', ')}]` : JSON.stringify(value)

const declared = describedOptions(docs).flatMap(({ title, options }) =>
  options
    .filter(({ kind }) => kind.fallback !== undefined)
    .map(({ path, kind, standard }) => [title, path, written(kind.fallback), standard] as const),
)

test.each(declared)('%s: @default of %s begins with %s', (_, _path, fallback, standard) => {
  expect(standard?.slice(0, fallback.length)).toBe(fallback)
  expect(standard?.slice(fallback.length)).toMatch(/^($|[ ;:,])/)
})

test('the compiler holds interface and declaration equal', () => {
  interface Options {
    readonly size: number
    readonly mode?: 'a' | 'b'
    readonly loud?: boolean
  }
  const right = { size: integer(1, 2).required(), mode: oneOf('a', 'b').default('a'), loud: boolean } satisfies Declared<Options>
  expect(Object.keys(right)).toEqual(['size', 'mode', 'loud'])
  // @ts-expect-error an option is missing
  void ({ size: integer(1, 2).required(), mode: oneOf('a', 'b') } satisfies Declared<Options>)
  // @ts-expect-error one too many
  void ({ ...right, speed: boolean } satisfies Declared<Options>)
  // @ts-expect-error the interface has a word more
  void ({ ...right, mode: oneOf('a') } satisfies Declared<Options>)
  // @ts-expect-error the declaration has a word more
  void ({ ...right, mode: oneOf('a', 'b', 'c') } satisfies Declared<Options>)
  // @ts-expect-error another type
  void ({ ...right, loud: integer(0, 1) } satisfies Declared<Options>)
  // @ts-expect-error the interface requires it
  void ({ ...right, size: integer(1, 2) } satisfies Declared<Options>)
  // @ts-expect-error the interface does not require it
  void ({ ...right, loud: boolean.required() } satisfies Declared<Options>)
  // @ts-expect-error no value of the type
  boolean.default(1)
})

test('an option of a model costs its declaration and its use', () => {
  const files = (readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }) as string[]).filter((file) =>
    file.endsWith('.ts'),
  )
  const mentions = (word: string): string[] =>
    files.filter((file) => new RegExp(`\\b${word}\\b`).test(read(`src/${file}`))).sort()
  // Triton has a setting of the same meaning, which is a third place by choice.
  expect(mentions('maxWaitMs').filter((file) => !/^core[\\/]registry[\\/]triton/.test(file))).toEqual([
    join('core', 'scheduler', 'accepted.ts'),
    join('core', 'scheduler', 'options.ts'),
  ])
})

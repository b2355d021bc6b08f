/** The report of the public types, on small declarations made for it. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { apiReport } from '../../tools/api-rules.ts'

/** The blocks of code, by heading. */
function sections(files: Readonly<Record<string, string>>): Record<string, string> {
  const dir = mkdtempSync(join(tmpdir(), 'api-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, `${name}.d.ts`), text)
  const entries = Object.keys(files).filter((name) => !name.startsWith('chunk'))
  const report = apiReport(new Map(entries.map((name) => [name, join(dir, `${name}.d.ts`)])))
  return Object.fromEntries([...report.matchAll(/^## ([^\n]*)\n\n```ts\n(.*?)\n?```/gms)].map(([, title, text]) => [title, text]))
}

test('exported declarations in the order of their names, without comments, each once; what they use and do not export after them', () => {
  const chunk = `
    interface Options { /** Documented. */ readonly size?: number; readonly inner: Inner }
    interface Inner { readonly depth: Depth }
    type Depth = 1 | 2
    interface Unused { readonly nothing: true }
    declare function make(options: Options): void
    export { type Options as O, make as m }`
  const found = sections({
    chunk,
    main: `import { O as Options, m as make } from './chunk.js'\nexport { make, type Options }`,
    other: `import { O as Options } from './chunk.js'\nexport { type Options }\nexport declare const limit: 3\ndeclare module 'host' { interface Host { limit: 3 } }`,
  })
  expect(found.main).toBe(
    'interface Options {\n    readonly size?: number;\n    readonly inner: Inner;\n}\ndeclare function make(options: Options): void;',
  )
  expect(found.other).toBe("export { Options } from 'main'\nexport declare const limit: 3;")
  expect(found['Types that other packages get']).toContain("declare module 'host'")
  expect(found['Types without an exported name']).toBe('type Depth = 1 | 2;\ninterface Inner {\n    readonly depth: Depth;\n}')
})

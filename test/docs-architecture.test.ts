/** The map in docs/architecture.md names every room, and no other. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const page = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8')

/** First column of the table with this head. */
function column(head: string): string[] {
  const [, table = ''] = page.split(`| room of \`${head}\` |`)
  const rows = table.split('\n\n', 1)[0]?.split('\n').slice(2) ?? []
  return rows.flatMap((row) => /^\| `([^`]+)` \|/.exec(row)?.[1] ?? [])
}

test.each(['src', 'src/core'])('the map of %s names every folder', (head) => {
  const folders = readdirSync(join(ROOT, head), { withFileTypes: true }).filter((entry) => entry.isDirectory())
  expect(column(head).sort()).toEqual(folders.map(({ name }) => name).sort())
})

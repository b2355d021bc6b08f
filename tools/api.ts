/** `npm run check:api`: fails when the public types of the build differ from `etc/api.md`; with `--update`, writes that file. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { apiReport } from './api-rules.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const REPORT = join(ROOT, 'etc/api.md')

interface Exports {
  readonly [subpath: string]: string | { readonly import: { readonly types: string } }
}

const { exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { exports: Exports }
const entries = Object.entries(exports).flatMap(([subpath, target]): [string, string][] =>
  typeof target === 'string' ? [] : [[subpath.replace(/^\./, 'modelmount'), join(ROOT, target.import.types)]],
)
const report = apiReport(new Map(entries))

if (process.argv.includes('--update')) writeFileSync(REPORT, report)
else {
  const kept = readFileSync(REPORT, 'utf8').split('\n')
  const lines = report.split('\n')
  const changed = lines.findIndex((line, i) => line !== kept[i])
  const line = changed < 0 && kept.length > lines.length ? lines.length : changed
  if (line >= 0) {
    console.error(`etc/api.md differs from the public types, from line ${line + 1} on:`)
    console.error(`- ${kept[line] ?? ''}\n+ ${lines[line] ?? ''}`)
    console.error('If the change is meant: npm run check:api -- --update, and commit the file with it.')
    process.exitCode = 1
  }
}

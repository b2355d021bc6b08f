/**
 * `npm run check:words`: the English of comments, error sentences and documents, by a list of words and the length of sentences.
 * A file may keep as many findings as `words-known.json` says; `--update` writes the list anew, `--list` prints every finding.
 */

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Finding, findings, judge, type Known, lowered, totalOf } from './word-rules.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const LIST = join(ROOT, 'tools/words-known.json')
/** Files that are written by hand. */
const CHECKED =
  /^(?:(?:src|test|tools|bench|examples)\/.*\.(?:ts|mjs|js|md)|docs\/(?!reference\/options\.md).*\.md|[A-Z]+\.md|findings\/.*\.(?:sh|md))$/

const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: ROOT, encoding: 'utf8' })
  .split('\n')
  .filter((file) => CHECKED.test(file))
const found: Finding[] = files.flatMap((file) => findings(file, readFileSync(join(ROOT, file), 'utf8')))
const known = JSON.parse(readFileSync(LIST, 'utf8')) as Known

if (process.argv.includes('--list'))
  for (const { file, line, rule, sentence } of found) console.log(`${file}:${line} ${rule}: ${sentence}`)
if (process.argv.includes('--update')) writeFileSync(LIST, `${JSON.stringify(lowered(found, known), undefined, 2)}\n`)
else {
  const problems = judge(found, known)
  for (const problem of problems) console.error(problem)
  console.log(`words: ${found.length} findings, ${totalOf(known)} known`)
  process.exitCode = problems.length > 0 ? 1 : 0
}

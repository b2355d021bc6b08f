/** The results of several Node versions, as written by earlier runs, side by side. */

import { readdirSync, readFileSync } from 'node:fs'
import type { Row } from './row.ts'
import { columns, goalOf, ratioOf, verdictOf } from './table.ts'

export interface Results {
  readonly node: string
  readonly cpus: number
  readonly seconds: number
  readonly rows: readonly Row[]
}

/** @param dir where the runs have left their results-node<major>.json */
export function compare(dir: string): { readonly text: string; readonly pass: boolean } {
  const files = readdirSync(dir).filter((file) => /^results-node\d+\.json$/.test(file))
  const all = files.map((file) => JSON.parse(readFileSync(`${dir}${file}`, 'utf8')) as Results)
  const keyOf = ({ bench, what, rival }: Row): string => `${bench}: ${what} / ${nameOf(rival)}`
  const keys = new Set(all.flatMap(({ rows }) => rows.map(keyOf)))
  const head = ['what', ...all.flatMap(({ node }) => [`Node ${node}`, '', '']), 'floor', 'goal']
  const lines = [...keys].map((key) => {
    const rows = all.map(({ rows }) => rows.find((row) => keyOf(row) === key))
    const promised = (of: 'floor' | 'goal'): string => [...new Set(rows.flatMap((row) => row?.[of] ?? []))].join(', ')
    const cells = rows.flatMap((row) => (row ? [ratioOf(row), verdictOf(row.pass), goalOf(row.met)] : ['-', '-', '']))
    return [key, ...cells, promised('floor'), promised('goal')]
  })
  return { text: columns(head, lines), pass: all.every(({ rows }) => rows.every(({ pass }) => pass !== false)) }
}

/** The rival without its figure, and without what a sweep found, which may differ. */
const nameOf = (rival: string): string => rival.replace(/[:,].*$/, '')

/** `npm run bench -- --against DIR [part ...] [--pairs N]`: whether this build has lost anything against another checkout's. */

import { writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { columns, verdictOf } from '../lib/table.ts'
import { type Build, buildIn } from './build.ts'
import { type AgainstRow, compareOn, failedOn, MIN_PAIRS } from './run.ts'
import { PARTS, WAYS } from './ways.ts'

export interface AgainstArgs {
  readonly dir: string
  readonly parts: readonly string[]
  readonly pairs: number
}

/** @throws Error that says what is wrong with the command line */
export function parseAgainst(args: readonly string[]): AgainstArgs {
  const rest = [...args]
  const take = (flag: string): string | undefined => {
    const at = rest.indexOf(flag)
    return at < 0 ? undefined : rest.splice(at, 2)[1]
  }
  const [dir, pairs] = [take('--against'), Number(take('--pairs') ?? MIN_PAIRS)]
  if (!dir) throw new Error('--against needs the folder of another checkout')
  if (!Number.isSafeInteger(pairs) || pairs < MIN_PAIRS) throw new Error(`--pairs is a number of at least ${MIN_PAIRS}`)
  const unknown = rest.filter((part) => !PARTS.includes(part))
  if (unknown.length > 0) throw new Error(`unknown: ${unknown.join(', ')}; known are ${PARTS.join(', ')}`)
  return { dir, parts: rest.length > 0 ? rest : PARTS, pairs }
}

const HEAD = ['what', 'figure', 'ours', 'theirs', 'ratio [95 % interval]', '', 'pairs']
const FIGURE_NAMES = { clock: 'requests by the clock', cpu: "host thread's CPU per request" } as const

export function againstTable(rows: readonly AgainstRow[]): string {
  const lines = rows.map(({ what, figure, ours, theirs, ratio, pass, pairs }) => [
    what,
    FIGURE_NAMES[figure],
    ours,
    theirs,
    ratio ? `${ratio.median.toFixed(3)} [${ratio.low.toFixed(3)}..${ratio.high.toFixed(3)}]` : '-',
    verdictOf(pass),
    String(pairs),
  ])
  const notes = rows.flatMap(({ what, note }) => (note ? [`  ${what}: ${note}`] : []))
  return [columns(HEAD, lines), ...notes].join('\n')
}

/**
 * @param root this checkout
 * @param results folder for the figures
 * @returns whether every row passes
 */
export async function runAgainst({ dir, parts, pairs }: AgainstArgs, root: string, results: string): Promise<boolean> {
  const compared: { readonly ours: Build; readonly theirs: Build } = { ours: buildIn(root), theirs: buildIn(dir) }
  console.log(`ours:   ${compared.ours.label}\ntheirs: ${compared.theirs.label}`)
  console.log(`Node ${process.version}, ${availableParallelism()} CPUs, ${pairs} pairs of turns each\n`)
  const start = performance.now()
  const rows: AgainstRow[] = []
  for (const way of WAYS.filter(({ part }) => parts.includes(part))) {
    process.stderr.write(`${way.part}, ${way.front} ...`)
    const before = performance.now()
    rows.push(...(await compareOn(way, compared, pairs).catch((error: unknown) => failedOn(way, error))))
    process.stderr.write(` ${((performance.now() - before) / 1000).toFixed(0)} s\n`)
  }
  console.log(`${againstTable(rows)}\n`)
  console.log('Ratios are ours / theirs, medians of interleaved turns; above 1 ours is better.')
  console.log('A row passes when its interval reaches 1, or begins at 0.95 or above.')
  const file = join(results, `against-node${process.version.replace(/^v(\d+).*/, '$1')}.json`)
  const seconds = Math.round((performance.now() - start) / 1000)
  writeFileSync(file, `${JSON.stringify({ node: process.version, seconds, ...compared, rows }, null, 2)}\n`)
  console.log(`written to ${file}`)
  return rows.every(({ pass }) => pass)
}

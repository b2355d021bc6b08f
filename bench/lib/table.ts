/** Rows as one table for people. */

import type { Row } from './row.ts'

const HEADER = ['what', 'ours', 'rival or limit', 'ratio [min..max]', 'floor', '', 'goal', '', 'how compared']

export const verdictOf = (pass: boolean | undefined): string => (pass === undefined ? '-' : pass ? 'pass' : 'FAIL')

export const goalOf = (met: boolean | undefined): string => (met === undefined ? '' : met ? 'reached' : 'not yet')

export function ratioOf({ ratio }: Row): string {
  if (!ratio) return '-'
  const digits = (value: number): string => value.toFixed(value < 0.1 ? 3 : 2)
  return ratio.min === ratio.max ? digits(ratio.median) : `${digits(ratio.median)} [${digits(ratio.min)}..${digits(ratio.max)}]`
}

/** Cells in columns as wide as they need to be. */
export function columns(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const widths = head.map((text, i) => Math.max(text.length, ...lines.map((line) => line[i]?.length ?? 0)))
  const format = (line: readonly string[]): string =>
    line
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join(' | ')
      .trimEnd()
  return [format(head), widths.map((width) => '-'.repeat(width)).join('-|-'), ...lines.map(format)].join('\n')
}

export function table(rows: readonly Row[]): string {
  const lines = rows.map((row) => [
    row.what,
    row.ours,
    row.rival,
    ratioOf(row),
    row.floor,
    verdictOf(row.pass),
    row.goal,
    goalOf(row.met),
    row.unsteady > 0 ? `${row.how} (${row.unsteady} unsteady)` : row.how,
  ])
  const notes = rows.flatMap((row) => (row.note ? [`  ${row.what}: ${row.note}`] : []))
  return [columns(HEADER, lines), ...notes].join('\n')
}

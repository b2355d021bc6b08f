/** Rows as one table for people. */

import type { Row } from './row.ts'

const HEADER = ['what', 'ours', 'rival or limit', 'ratio [min..max]', 'target', '', 'how compared']

const verdict = (pass: boolean | undefined): string => (pass === undefined ? '-' : pass ? 'pass' : 'FAIL')

function ratioOf({ ratio }: Row): string {
  if (!ratio) return '-'
  const digits = (value: number): string => value.toFixed(value < 0.1 ? 3 : 2)
  return ratio.min === ratio.max ? digits(ratio.median) : `${digits(ratio.median)} [${digits(ratio.min)}..${digits(ratio.max)}]`
}

export function table(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.what,
    row.ours,
    row.rival,
    ratioOf(row),
    row.target,
    verdict(row.pass),
    row.unsteady > 0 ? `${row.how} (${row.unsteady} unsteady)` : row.how,
  ])
  const widths = HEADER.map((head, i) => Math.max(head.length, ...cells.map((line) => line[i]?.length ?? 0)))
  const format = (line: readonly string[]): string =>
    line
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join(' | ')
      .trimEnd()
  const notes = rows.flatMap((row) => (row.note ? [`  ${row.what}: ${row.note}`] : []))
  return [format(HEADER), widths.map((width) => '-'.repeat(width)).join('-|-'), ...cells.map(format), ...notes].join('\n')
}

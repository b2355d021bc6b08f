/** Output of commands: aligned columns for people, JSON for scripts. Text of a file never reaches the terminal unescaped. */

import { printable } from '../core/host/printable.ts'

export type Row = readonly string[]

const MAX_TEXT_CHARS = 200
const UNITS = ['kB', 'MB', 'GB', 'TB']

/** In JSON only strings can hold these; JSON.stringify leaves them unchanged, and terminals obey some. */
const RAW_IN_JSON = /[\x7f-\x9f]|\p{Cf}|\p{Zl}|\p{Zp}/gu

export const toJson = (value: unknown): string => JSON.stringify(value, null, 2).replace(RAW_IN_JSON, escapeUnits)

const escapeUnits = (char: string): string =>
  char
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('')

/** Lines as one text; names in it cannot break a line. */
export const textOf = (lines: readonly string[]): string => lines.map(printable).join('\n')

export function section(title: string, rows: readonly Row[]): string[] {
  return ['', title, ...aligned(rows.length === 0 ? [['none']] : rows).map((line) => `  ${line}`)]
}

/** Left-aligned columns, two spaces apart. */
export function aligned(rows: readonly Row[]): string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length)
  }
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

export const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`

export function bytes(n: number): string {
  if (n < 1000) return count(n, 'byte')
  const power = Math.min(Math.floor(Math.log10(n) / 3), UNITS.length)
  return `${(n / 1000 ** power).toFixed(1)} ${UNITS[power - 1] ?? ''}`
}

/** One line, no control characters, bounded. */
export function safe(text: string): string {
  const line = printable(text)
  return line.length <= MAX_TEXT_CHARS ? line : `${line.slice(0, MAX_TEXT_CHARS)}…`
}

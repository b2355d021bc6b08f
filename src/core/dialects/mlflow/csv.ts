/** CSV bodies, RFC 4180 as pandas reads it: a line of column names, then one line per row. */

import { ModelmountError } from '../../errors.ts'
import { readText } from '../codec/json.ts'

export interface Table {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

const QUOTE = '"'

/**
 * @throws ModelmountError `REQUEST_INVALID` for a body that is empty, not UTF-8, ragged, or ends inside quotes
 */
export function readCsv(body: Uint8Array | string): Table {
  // Spreadsheets write a byte order mark, and pandas takes it off.
  const text = withoutMark(body)
  const records = split(text)
  const [columns, ...rows] = records
  if (!columns) throw fault('the CSV body has no line of column names')
  for (const [i, row] of rows.entries())
    if (row.length !== columns.length) {
      const [expected, got] = [`${columns.length} fields`, `${row.length}`]
      throw fault(`row ${i} of the CSV body must have ${expected}, got ${got}`, { field: `rows[${i}]`, expected, got })
    }
  return { columns, rows }
}

function withoutMark(body: Uint8Array | string): string {
  if (typeof body === 'string') return readText(body.startsWith('\ufeff') ? body.slice(1) : body)
  const hasMark = body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf
  return readText(hasMark ? body.subarray(3) : body)
}

/** Lines that are empty are passed over, as pandas does. */
function split(text: string): string[][] {
  const records: string[][] = []
  let at = 0
  while (at < text.length) {
    const record: string[] = []
    let isBlank = true
    for (;;) {
      const [field, end, wasQuoted] = readField(text, at)
      record.push(field)
      isBlank &&= field === '' && !wasQuoted && record.length === 1
      at = end
      if (text[at] !== ',') break
      at++
    }
    if (text[at] === '\r' && text[at + 1] === '\n') at++
    at++
    if (!isBlank) records.push(record)
  }
  return records
}

/** The field at a place, and where it ends: at a comma, at the end of a line, or at the end. */
function readField(text: string, start: number): [field: string, end: number, wasQuoted: boolean] {
  if (text[start] !== QUOTE) {
    let end = start
    while (end < text.length && !isEnd(text[end])) end++
    return [text.slice(start, end), end, false]
  }
  let field = ''
  for (let at = start + 1; ; ) {
    const close = text.indexOf(QUOTE, at)
    if (close === -1) throw fault('the CSV body ends inside quotes')
    field += text.slice(at, close)
    if (text[close + 1] !== QUOTE) {
      if (close + 1 < text.length && !isEnd(text[close + 1]))
        throw fault(`the CSV body goes on after a closing quote (at character ${close + 1})`)
      return [field, close + 1, true]
    }
    field += QUOTE
    at = close + 2
  }
}

const isEnd = (character: string | undefined): boolean => character === ',' || character === '\n' || character === '\r'

function fault(message: string, details: { field?: string; expected?: string; got?: string } = {}): ModelmountError {
  return new ModelmountError('REQUEST_INVALID', message, { details: { field: 'body', ...details } })
}

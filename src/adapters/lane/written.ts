/** The head of an answer as text, with the fields that `node:http` adds. */

import { STATUS_CODES, validateHeaderValue } from 'node:http'

let second = 0
let date = ''

/** HTTP's date, made once a second. */
function today(): string {
  const now = Math.floor(Date.now() / 1000)
  if (now !== second) {
    second = now
    date = new Date(now * 1000).toUTCString()
  }
  return date
}

/**
 * @param keepAliveMs how long the connection is kept once it is idle, 0 for no limit; `undefined` if it closes after this answer
 * @throws TypeError for a value that would not stay one field
 */
export function headOf(status: number, headers: Readonly<Record<string, string>>, keepAliveMs: number | undefined): string {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n`
  for (const name of Object.keys(headers)) {
    const value = headers[name] as string
    validateHeaderValue(name, value)
    text += `${name}: ${value}\r\n`
  }
  text += `Date: ${today()}\r\n`
  if (keepAliveMs === undefined) return `${text}Connection: close\r\n\r\n`
  if (keepAliveMs === 0) return `${text}Connection: keep-alive\r\n\r\n`
  return `${text}Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveMs / 1000)}\r\n\r\n`
}

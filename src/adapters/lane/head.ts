/**
 * Reads the heads of plain requests, and of no others: an accepted head means the same to every reader of HTTP/1.1 (RFC 9112). Heads that
 * two readers may understand differently go to `node:http`: a transfer coding, a name twice, a folded or padded line, a character that is
 * not ASCII. So do requests that want more than an answer: an upgrade, `expect`, a connection that should close.
 */

export interface Head {
  readonly method: 'GET' | 'POST'
  /** The request target as it was written; begins with `/`. */
  readonly target: string
  /** Lower-case names, values without the blanks around them. */
  readonly headers: Readonly<Record<string, string>>
  /** Bytes of the body. */
  readonly length: number
}

/** Heads are some hundred bytes. Larger ones are left to Node, with its limits. */
export const LONGEST_HEAD = 8 * 1024

const START = /^(GET|POST) (\/[!-~]*) HTTP\/1\.1\r\n/
/** Proxies disagree about underscores in field names. */
const FIELD = /([A-Za-z0-9-]+):[ \t]*([\t -~]*)\r\n/y
const LENGTH = /^\d{1,15}$/
const REFUSED: ReadonlySet<string> = new Set(['transfer-encoding', 'expect', 'upgrade', 'trailer', 'te'])

/** @param text from the request line to the end of the last field, without the empty line; one character per byte */
export function readHead(text: string): Head | undefined {
  const start = START.exec(text)
  if (!start) return undefined
  const headers: Record<string, string> = {}
  FIELD.lastIndex = start[0].length
  for (let at = FIELD.lastIndex; at < text.length; at = FIELD.lastIndex) {
    const field = FIELD.exec(text)
    if (!field) return undefined
    const name = (field[1] as string).toLowerCase()
    // Names that every object has, too: `constructor` is no real header.
    if (headers[name] !== undefined || REFUSED.has(name)) return undefined
    const value = field[2] as string
    // Readers disagree about the blanks that may follow a number.
    if (name === 'content-length' && !LENGTH.test(value)) return undefined
    headers[name] = value.trimEnd()
  }
  const { host, connection = 'keep-alive', 'content-length': length } = headers
  if (!host || connection.toLowerCase() !== 'keep-alive') return undefined
  const method = start[1] as Head['method']
  if (method === 'GET' ? length !== undefined : length === undefined) return undefined
  return { method, target: start[2] as string, headers, length: Number(length ?? 0) }
}

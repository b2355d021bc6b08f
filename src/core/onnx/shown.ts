/** Text of a file for a sentence: on one line, and bounded. */

import { printable } from '../host/printable.ts'

const MAX_SHOWN_CHARS = 120

export function shown(text: string): string {
  const safe = printable(text)
  return safe.length <= MAX_SHOWN_CHARS ? safe : `${safe.slice(0, MAX_SHOWN_CHARS)}…`
}

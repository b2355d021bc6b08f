/** Text of a file in a sentence: one line, and not endless. */

import { printable } from '../host/printable.ts'

const MAX_SHOWN_CHARS = 120

export function shown(text: string): string {
  const safe = printable(text)
  return safe.length <= MAX_SHOWN_CHARS ? safe : `${safe.slice(0, MAX_SHOWN_CHARS)}…`
}

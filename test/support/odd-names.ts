/** Names that forge lines, colour them, or turn them round. */

import fc from 'fast-check'

/** Control, format and separator characters, and halves of pairs: a log or a terminal must not get them. */
export const unprintableIn = (text: string): readonly string[] => text.match(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu) ?? []

const PIECES = [
  '\n',
  '\r',
  '\t',
  '\x1b[2K\x1b[1A',
  '\x1b]0;title\x07',
  '\x9b31m',
  '\x7f',
  '\u0085',
  '\u2028',
  '\u2029',
  '\u202e',
  '\u2066',
  '\u200b',
  '\ufeff',
  '{"level":"info"}',
  '[E:onnxruntime]',
  'model@1: ready',
  "'",
  '"',
  'é',
  '日',
  '👩‍👩‍👧',
]

/** Any text, with what is dangerous in it as often as not. */
export const odd: fc.Arbitrary<string> = fc
  .array(fc.oneof(fc.constantFrom(...PIECES), fc.string({ unit: 'binary', maxLength: 4 }), fc.string({ maxLength: 6 })), {
    maxLength: 8,
  })
  .map((pieces) => pieces.join(''))

/** The same as the name of a file or folder. */
export const oddFileName: fc.Arbitrary<string> = odd
  .map((text) => Buffer.from(text.replace(/[/\0]/g, '')).subarray(0, 120).toString().replaceAll('\ufffd', ''))
  .filter((name) => unprintableIn(name).length > 0 && !name.startsWith('.'))

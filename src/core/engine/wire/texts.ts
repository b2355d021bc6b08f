/**
 * Texts in a message: their number, where each begins and the last one ends, and their UTF-16 code units. UTF-16 is exact for every string of
 * JavaScript, lone surrogates included, and its length is known without a look at the text.
 */

import { WORD } from './format.ts'

/** Bytes of the section. */
export function sizeOfTexts(texts: readonly string[]): number {
  let units = 0
  for (const text of texts) units += text.length
  return (texts.length + 2) * WORD + 2 * units
}

export function writeTexts(message: ArrayBuffer, at: number, texts: readonly string[]): void {
  const words = new Float64Array(message, at, texts.length + 2)
  const units = Buffer.from(message, at + words.byteLength)
  words[0] = texts.length
  let start = 0
  for (let i = 0; i < texts.length; i++) {
    const text = texts[i] as string
    words[i + 1] = start
    units.write(text, 2 * start, 'utf16le')
    start += text.length
  }
  words[texts.length + 1] = start
}

/** Reads `count` texts, beginning with one of them. @param at first byte of the section */
export function readTexts(message: ArrayBuffer, at: number, first: number, count: number): string[] {
  const [total = 0] = new Float64Array(message, at, 1)
  const starts = new Float64Array(message, at + WORD, total + 1)
  const units = Buffer.from(message, at + (total + 2) * WORD)
  const texts: string[] = []
  for (let i = first; i < first + count; i++)
    texts.push(units.toString('utf16le', 2 * (starts[i] as number), 2 * (starts[i + 1] as number)))
  return texts
}

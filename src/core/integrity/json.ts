/** Parses JSON and base64 from untrusted files. */

import { refuse } from './refusal.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true })

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** @throws ModelmountError `MODEL_UNTRUSTED` */
export function parseJson(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(utf8.decode(bytes))
  } catch (cause) {
    throw refuse(`${what} is not valid JSON in UTF-8`, undefined, cause)
  }
}

/** The only base64 text accepted for some bytes, with its padding: another text for the same bytes would be an unnoticed change. */
export function parseBase64(text: unknown, what: string): Uint8Array {
  const bytes = typeof text === 'string' ? Buffer.from(text, 'base64') : undefined
  if (bytes === undefined || bytes.length === 0 || bytes.toString('base64') !== text) throw refuse(`${what} is not base64`)
  return bytes
}
